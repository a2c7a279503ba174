"""Writes ``configuration.md`` from the models, and the table of ``factors.md`` from the registry, each time the documentation is built."""

from __future__ import annotations

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


def on_files(files: Files, config: Any) -> Files:
    """Add the generated page."""
    files.append(File.generated(config, "configuration.md", content=page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put the table of factors where ``factors.md`` asks for it."""
    return markdown.replace("<!-- every registered factor -->", factor_table()) if page.file.src_uri == "factors.md" else markdown


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
    """The page as Markdown: one table per file."""
    parts = [INTRODUCTION]
    defaults = Config().model_dump(mode="json")
    for part, (file, model) in {**FILES, "keys": ("api_keys.yml", ApiKeys)}.items():
        schema = model.model_json_schema()
        parts += [f"\n## {file}\n", KEYS_NOTE if model is ApiKeys else "", "| Key | Allowed | Default | |", "|---|---|---|---|"]
        for path, node in key_paths(schema):
            rule = allowed(schema, node)
            if rule == "a mapping of keys to values" and "additionalProperties" not in node:
                continue  # a section: its keys follow
            rule = rule.replace("|", "\\|").replace("[", "\\[")
            default = _default(defaults[part], path, node.get("default"))
            parts.append(f"| `{'.'.join(path)}` | {rule} | {default} | {node.get('description', '')} |")
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
