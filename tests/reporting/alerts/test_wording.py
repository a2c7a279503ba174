"""What each service is given: nothing in an alert is markup, nothing is longer than the service takes, nothing in a digest goes uncounted."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.reporting.alerts.rows import Due, Posted
from mech_exo.reporting.alerts.wording import LIMITS, MORE, REPEATED, cut, message, plain, written
from mech_exo.utils import log
from mech_exo.utils.alert_settings import Kind, Severity

CORPUS = (
    "<script>alert(1)</script>", "<!channel> <!here> <@U123|x>", "@everyone @here <@&42> <#7>", "[click](https://evil.example)", "`code` ```block```",
    "*bold* _it_ ~no~ ||spoiler||", "&lt;b&gt; &amp;", "Subject: x\r\nBcc: all@example.com\r\n\r\nbody", "a\u202egpj.exe", "</pre><img src=x onerror=alert(1)>",
    "> quote\n# head\n- list", "\x00\x1b[31mred", "https://evil.example/?a=1&b=<2>",
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(CORPUS), st.text(max_size=300), st.lists(st.sampled_from(CORPUS), max_size=6).map("\n".join))


def due(seq: int, title: str, text: str, severity: str = "info", *, doubt: bool = False) -> Due:
    alert = Posted(f"id-{seq}", severity, title, text, 0.0)
    return Due(seq, alert, alert.words, 0, doubt)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert all(name == "style" for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXTS, TEXTS)
def test_slack_sees_no_mention_and_no_link(title: str, text: str) -> None:
    said = written(Kind.SLACK, title, text, Severity.INFO)
    assert "<" not in said.text and ">" not in said.text
    assert re.sub(r"&(amp|lt|gt);", "", said.text).count("&") == 0


@given(TEXTS, TEXTS)
def test_discord_sees_no_markup_and_no_mention(title: str, text: str) -> None:
    said = written(Kind.DISCORD, title, text, Severity.INFO)
    for part in (said.title, said.text):
        assert not re.search(r"@(?!\u200b)", part)
        assert not re.search(r"[*_~`|>#\[\]()<:-]", re.sub(r"\\.", "", part.replace(MORE.replace("(", "\\("), "")))


@given(TEXTS, TEXTS)
def test_mail_has_one_subject_line_and_no_tag_of_an_alert(title: str, text: str) -> None:
    said = written(Kind.EMAIL, title, text, Severity.INFO)
    assert len(said.title.splitlines()) <= 1
    seen = Tags()
    seen.feed(said.page)
    assert set(seen.tags) <= {"p", "b", "pre", "br"}
    assert seen.text == said.title + said.text.replace("\n", "")


@given(st.sampled_from(Kind), TEXTS, st.text(max_size=9000))
def test_nothing_is_longer_than_the_service_takes(kind: Kind, title: str, text: str) -> None:
    said = written(kind, title, text * 8, Severity.INFO)
    body = html.escape(said.text) if kind is Kind.EMAIL else said.text
    assert len(body.encode()) + (0 if kind is Kind.EMAIL else len(said.title.encode())) <= LIMITS[kind]
    assert "\n" not in said.title


@given(st.text(max_size=500), st.integers(60, 400))
def test_what_is_cut_says_so_and_what_is_not_is_whole(text: str, limit: int) -> None:
    said = cut(text, limit, html.escape)
    assert len(html.escape(said).encode()) <= limit
    assert said == text or (said.endswith(MORE) and text.startswith(said[: -len(MORE)]))


@given(st.sampled_from(Kind), st.lists(st.tuples(st.integers(0, 30), st.sampled_from(Severity), st.booleans()), min_size=2, max_size=400))
def test_a_digest_names_or_counts_every_alert(kind: Kind, drawn: list[tuple[int, Severity, bool]]) -> None:
    rows = [due(n, f"title{words}", "x" * 150, severity, doubt=doubt) for n, (words, severity, doubt) in enumerate(drawn)]
    said = message(kind, rows)
    text = said.text.replace("\\", "")
    if len({row.words for row in rows}) == 1:
        assert f"(×{len(rows)})" in said.title.replace("\\", "")
        return
    assert f"{len(rows):,} alerts" in said.title
    lines = [line for line in text.split("\n") if line.startswith("[")]
    named = sum(int(found[1]) if (found := re.search(r"\(×(\d+)\):", line)) else 1 for line in lines)
    more = re.search(r"… and ([\d,]+) more", text)
    assert named + (int(more[1].replace(",", "")) if more else 0) == len(rows)
    assert said.severity is max((row.alert.severity for row in rows), key=list(Severity).index)


def test_doubt_severity_and_repetition_stand_in_the_title() -> None:
    one = message(Kind.TELEGRAM, [due(1, "Disk", "full", "critical", doubt=True), due(2, "Disk", "full", "critical")])
    assert one.title == f"{REPEATED}CRITICAL: Disk (×2)"


def test_secrets_and_accounts_are_masked_before_anything_is_cut() -> None:
    log.redact("a-secret-of-the-house")
    said = written(Kind.TELEGRAM, "U1234567 a-secret-of-the-house", "DU7654321: a-secret-of-the-house", Severity.INFO)
    assert said.title == "U…567 ********" and said.text == "DU…321: ********"


@pytest.mark.parametrize("text", ["a\r\nb", "a\rb", "a\x00\x1bb", "\u202eabc"])
def test_control_characters_go(text: str) -> None:
    assert not re.search(r"[\r\x00\x1b\u202e]", written(Kind.NTFY, "t", text, Severity.INFO).text)
    assert plain(text) == text
