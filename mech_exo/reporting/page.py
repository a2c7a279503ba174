"""From a template and a frozen view to a file: Jinja with autoescape, a policy that forbids every request, an atomic write."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mech_exo.reporting import text
from mech_exo.reporting.view import Chart

if TYPE_CHECKING:
    import jinja2
    import plotly.graph_objects as go

TEMPLATES = Path(__file__).with_name("templates")


def render(template: str, view: object) -> str:
    """Fill ``template`` with ``view`` (seen there as ``v``). An unknown name in a template is an error, not an empty place.

    Markup in values is escaped; a Markdown template escapes foreign text with the filter ``said``.
    """
    return _environment().get_template(template).render(v=view)


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(("html",), disabled_extensions=("md",), default_for_string=True, default=True),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_honest,
    )
    filters = (text.percent, text.money, text.ratio, text.whole, text.day, text.words, text.once, said)
    environment.filters |= {function.__name__: function for function in filters}
    return environment


def _honest(value: object) -> object:
    """Text that came with the view, without what hides in it; what a template made stays as it is."""
    return text.honest(value) if type(value) is str else value


def said(value: object) -> str:
    """Foreign text within a line of Markdown that is read as plain text, too: only what would be markup there is escaped.

    An underscore within a word is none; a link needs its brackets, an element its ``<``, an address its colon.
    """
    plain = " ".join(str(value).split())
    plain = re.sub(r"(?<![^\W_])_|_(?![^\W_])|[\\`*\[\]<>~|]|&(?=#|\w+;)", lambda found: "\\" + found.group(), plain)
    return re.sub(r"://|(?<=www)\.|(?<=\w)@(?=\w)", lambda found: found.group()[0] + "\u200b" + found.group()[1:], plain)


def chart(title: str, caption: str, figure: go.Figure, *, wide: bool = True) -> Chart:
    """``figure`` for a page that holds Plotly; its buttons become the page's own, which a keyboard reaches."""
    menus, figure.layout.updatemenus = figure.layout.updatemenus, ()
    buttons = tuple((str(button.label), json.dumps(button.args[0])) for menu in menus for button in menu.buttons)
    return Chart(title, caption, harmless(figure.to_json()), int(figure.layout.height), wide, buttons=buttons)


def drawn(title: str, caption: str, nothing: str, draw: Callable[[], go.Figure], *, wide: bool = True) -> Chart:
    """What ``draw`` returns as a :func:`chart`; where ``nothing`` says why there is nothing to draw, that instead."""
    return Chart(title, caption, "", 0, wide, nothing) if nothing else chart(title, caption, draw(), wide=wide)


def harmless(data: str) -> str:
    """JSON that cannot end the script element it stands in, nor begin another."""
    for letter in "<>&":
        data = data.replace(letter, f"\\u{ord(letter):04x}")
    return data


def plotly_source() -> str:
    """Plotly's JavaScript (4.8 MB), to be put into a page once."""
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source.replace("</script", "<\\/script")
