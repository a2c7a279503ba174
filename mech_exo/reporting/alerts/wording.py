"""An alert's words as each service must be given them: escaped, masked, cut to its limit, and many in one digest.

What an alert holds may come from outside (a headline, a symbol, a broker's error): it is text, never markup. Nothing in it mentions a
channel or a person, opens a tag or begins a header.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mech_exo.reporting.alerts.rows import Due
from mech_exo.utils.alert_settings import Kind, Severity
from mech_exo.utils.log import mask, mask_accounts

MORE = "… (cut: exo alert list)"
REPEATED = "(repeated) "
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters, and what turns the direction of writing round: never part of an honest text."""
DISCORD_MARKUP = re.compile(r"([\\*_~`|>#\[\]()<:-])")
LINE = 160
"""Characters of one alert's first line in a digest."""
MARKS = {Severity.CRITICAL: "CRITICAL", Severity.WARNING: "warning", Severity.INFO: "info"}


def plain(text: str) -> str:
    """As it is."""
    return text


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _discord(text: str) -> str:
    return DISCORD_MARKUP.sub(r"\\\1", text).replace("@", "@\u200b")


ESCAPES: dict[Kind, Callable[[str], str]] = {Kind.SLACK: _slack, Kind.DISCORD: _discord, Kind.EMAIL: html.escape}
"""Telegram and ntfy are given plain text and told so; apprise escapes for the rest (kind url)."""
LIMITS = {Kind.SLACK: 30_000, Kind.TELEGRAM: 4_000, Kind.EMAIL: 200_000, Kind.DISCORD: 1_900, Kind.NTFY: 3_800, Kind.URL: 2_000}
"""Bytes of UTF-8 of title and text together, as escaped: each below what the service takes."""
TITLE = 200


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: ``title`` on one line, ``text`` (escaped as the sender wants them), the most severe of the severities in it.

    ``page``: the same as HTML, for e-mail.
    """

    title: str
    text: str
    severity: Severity
    page: str = ""

    @property
    def content(self) -> str:
        """All of it, to be hashed."""
        return f"{self.severity}\n{self.title}\n{self.text}\n{self.page}"


def message(kind: Kind, rows: Sequence[Due]) -> Message:
    """One message for one alert (or the same words several times), or a digest that names or counts every one of ``rows``."""
    if len({row.words for row in rows}) == 1:
        return _single(kind, rows)
    return _digest(kind, rows)


def written(kind: Kind, title: str, text: str, severity: Severity) -> Message:
    """``title`` and ``text`` as ``kind`` must be given them."""
    heading = cut(_clean(title, one_line=True), TITLE, plain)
    if kind is Kind.EMAIL:  # the subject is a header, the text a part of its own: only the HTML part is escaped
        body = cut(_clean(text), LIMITS[kind], html.escape)
        lines = html.escape(body).replace("\n", "<br>")  # what becomes a new line in the plain part that apprise makes of it
        shown = f'<pre style="white-space:pre-wrap;font-family:inherit">{lines}</pre>'
        return Message(heading, body, severity, f"<p><b>{html.escape(heading)}</b></p>{shown}")
    escape = ESCAPES.get(kind, plain)
    title = escape(heading) if kind is Kind.DISCORD else heading  # apprise escapes Slack's titles
    return Message(title, escape(cut(_clean(text), LIMITS[kind] - len(title.encode()) - 1, escape)), severity)


def cut(text: str, limit: int, escape: Callable[[str], str]) -> str:
    """The longest beginning of ``text`` that takes at most ``limit`` bytes once escaped, and says that it was cut."""
    if len(escape(text).encode()) <= limit:
        return text
    room = limit - len(escape(MORE).encode())
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(escape(text[:middle]).encode()) <= room else (low, middle - 1)
    return text[:low].rstrip() + MORE


def _single(kind: Kind, rows: Sequence[Due]) -> Message:
    first = rows[0].alert
    times = f" (×{len(rows)})" if len(rows) > 1 else ""
    again = REPEATED if any(row.doubt for row in rows) else ""
    severity = Severity(first.severity)
    mark = "" if severity is Severity.INFO else f"{MARKS[severity]}: "
    return written(kind, f"{again}{mark}{first.title}{times}", first.text, severity)


def _digest(kind: Kind, rows: Sequence[Due]) -> Message:
    """A line for each alert, the gravest first, the same words once; where they do not fit, how many more there are of which severity."""
    counts = {severity: sum(row.alert.severity == severity for row in rows) for severity in reversed(Severity)}
    worst = next(severity for severity, count in counts.items() if count)
    counted = ", ".join(f"{count:,} {severity}" for severity, count in counts.items() if count)
    lines = _lines(rows)
    escape, room = ESCAPES.get(kind, plain), LIMITS[kind] - 400
    shown, used = 0, 0
    for line, _ in lines:
        used += len(escape(_clean(line)).encode()) + 1
        if used > room:
            break
        shown += 1
    said = [line for line, _ in lines[:shown]]
    if shown < len(lines):
        said.append(f"… and {sum(count for _, count in lines[shown:]):,} more. All of them: exo alert list")
    mark = "" if worst is Severity.INFO else f"{MARKS[worst]}: "
    return written(kind, f"{mark}{len(rows):,} alerts ({counted})", "\n".join(said), worst)


def _lines(rows: Sequence[Due]) -> list[tuple[str, int]]:
    """(line, how many alerts it stands for), in the order given."""
    same: dict[str, list[Due]] = {}
    for row in rows:
        same.setdefault(row.words, []).append(row)
    found = []
    for group in same.values():
        alert = group[0].alert
        again = REPEATED if any(row.doubt for row in group) else ""
        first, _, more = alert.text.strip().partition("\n")
        text = first if len(first) <= LINE and not more else f"{first[: LINE - 1]}…"
        times = f" (×{len(group)})" if len(group) > 1 else ""
        found.append((f"[{MARKS[Severity(alert.severity)]}] {again}{alert.title}{times}: {text}", len(group)))
    return found


def _clean(text: str, *, one_line: bool = False) -> str:
    """Masked, without control characters; ``one_line``: fit for a header."""
    text = CONTROL.sub("", mask(mask_accounts(text)).replace("\r\n", "\n").replace("\r", "\n"))
    return " ".join(text.split()) if one_line else text
