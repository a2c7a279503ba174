"""Writes ``configuration.md`` from the models, and the table of ``factors.md`` from the registry, each time the documentation is built;
turns the references of docstrings into links."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.structure.files import File, Files

from mech_exo.scoring.factors import REGISTRY
from mech_exo.utils.config import FILES
from mech_exo.utils.config_errors import allowed, key_paths
from mech_exo.utils.settings import ApiKeys, Config

INTRODUCTION = """# Configuration

A workspace holds these files in `config/`; `exo init DIR` writes them with comments, `exo config check` reads them,
`exo config show --effective` prints every value with its hash. Fractions, never percent: 0.05 is 5 %. US dollars. An unknown key, a key
that stands twice, a text where a number is meant, NaN or a value outside its range is refused, with file, key, rule and value.

The hash of the configuration covers everything that decides, so neither
`research.yml`, `broker.yml`, `alerts.yml`, `dashboard.yml` nor the keys, and stands on every result.
"""
KEYS_NOTE = """
Copy it to `api_keys_local.yml`, which git ignores and which overrides it key by key. That file is set to mode 0600.
Secrets are never printed.
"""


ROLE = re.compile(r":(?:py:)?(?:func|class|data|meth|mod|attr|exc):<code>~?([\w.]+)</code>")

LONG, BREAKS = re.compile(r"<code>([\w/.:]{24,})</code>"), re.compile(r"[_/]|::|\.(?=\w)")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated page."""
    files.append(File.generated(config, "configuration.md", content=page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the table of factors where ``factors.md`` asks for it."""
    return markdown.replace("<!-- every registered factor -->", factor_table()) if page.file.src_uri == "factors.md" else markdown


def on_page_content(content: str, **_: Any) -> str:
    """Make links of the references in docstrings, which are written as reStructuredText, and let long names break where a reader would."""
    linked = ROLE.sub(lambda found: _reference(found[1]), content)
    return LONG.sub(lambda found: BREAKS.sub("\\g<0><wbr>", found[1]).join(("<code>", "</code>")), linked)


def _reference(name: str) -> str:
    code = f"<code>{name.rsplit('.', 1)[-1]}</code>"
    return f'<autoref identifier="{name}" optional>{code}</autoref>' if name.startswith("mech_exo.") else code


def factor_table() -> str:
    """Every registered factor as a Markdown table."""
    lines = ["| Factor | Family | Reads | Unit | Direction | Parameters | First value | Source |", "|---|---|---|---|---|---|---|---|"]
    for factor in REGISTRY.values():
        bound = factor.bind({})
        params = ", ".join(f"`{name}` {value}" for name, value in bound.params.items())
        reads = ", ".join(f"`{name}`" for name in factor.inputs)
        first = "" if factor.facts else f"row {bound.warmup}"
        cells = (f"`{factor.name}`", factor.family, reads, factor.unit, factor.direction, params, first, factor.source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page() -> str:
    """The page as Markdown: a heading for each file and each block of it, a table of its keys below."""
    parts = [INTRODUCTION]
    defaults = Config().model_dump(mode="json")
    for part, (file, model) in {**FILES, "keys": ("api_keys.yml", ApiKeys)}.items():
        schema = model.model_json_schema()
        parts += [f"\n## {file}\n", KEYS_NOTE if model is ApiKeys else ""]
        block: tuple[str, ...] | None = None
        for path, node in key_paths(schema):
            rule = allowed(schema, node)
            if rule == "a mapping of keys to values" and "additionalProperties" not in node:
                continue  # a section: its keys follow
            if path[:-1] != block:
                block = path[:-1]
                heading = f"\n### {file}: {'.'.join(block)}" if block else ""
                parts += [heading, "\n| Key | Allowed | Default | Meaning |", "|---|---|---|---|"]
            rule = rule.replace("|", "\\|").replace("[", "\\[")
            default, said = _default(defaults[part], path, node.get("default")), node.get("description", "").replace("|", "\\|")
            parts.append(f"| `{path[-1]}` | {rule} | {default} | {said} |")
        if "additionalProperties" in str(schema) and "FactorWeight" in schema.get("$defs", {}):
            line = schema["$defs"]["FactorWeight"]["properties"]
            parts.append("\nEach factor is a line `name: {weight: 15, direction: lower_better}`:\n\n| Key | Allowed |\n|---|---|")
            parts += [f"| `{name}` | {allowed(schema, node)} |" for name, node in line.items()]
    return "\n".join(parts) + "\n"


def _default(values: Any, path: tuple[str, ...], otherwise: Any) -> str:
    for name in path:
        if values is None:  # inside a block that is off until it is written
            return _shown(otherwise)
        values = values[name]
    return _shown(values)


def _shown(values: Any) -> str:
    if values in ("", {}, []) or isinstance(values, dict):
        return ""
    return f"`{'null' if values is None else str(values).lower() if isinstance(values, bool) else values}`"
