"""The journal as a timeline: every row once, in order, in a sentence; what is looked for is found; the chain is verified only on demand."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.execution.ledger import Ledger, default_path
from mech_exo.execution.ledger_journal import BULKY, Sought
from mech_exo.execution.ledger_tables import KINDS
from mech_exo.execution.rows import Alert
from mech_exo.reporting.alerts.rows import Posted
from mech_exo.reporting.alerts.store import DeliveryStore
from mech_exo.reporting.alerts.store import default_path as record_of
from mech_exo.reporting.dashboard import log_data
from mech_exo.reporting.dashboard.log_data import GROUPS, chain, deliveries, detail, how_many, lines, sought, tail, verified
from mech_exo.reporting.dashboard.pages import log
from mech_exo.utils.workspace import create
from tests.execution.ledger_rows import write_everything
from tests.reporting.dashboard.book import part, parts, reader, rows, texts, tile
from tests.reporting.dashboard.serving import booked_workspace, reader_of
from tests.reporting.xss import HTML

ALL = Sought()


def settled(home: Path) -> Path:
    """As if its ledger had been written a minute ago: what was written just now may be written again within the same tick."""
    for path in home.glob("data/ledger.sqlite*"):
        before = path.stat().st_mtime - 60.0
        os.utime(path, (before, before))
    return home


def test_pages_laid_end_to_end_are_the_journal_the_newest_first():
    total = how_many(reader(), ALL)
    found = [line.seq for first in range(0, total, 170) for line in lines(reader(), ALL, first, 170)]
    assert found == [seq for (seq,) in rows("SELECT seq FROM journal ORDER BY seq DESC")] and len(found) == total > 500


@given(text=st.sampled_from(("SYN0", "syn01", "rebalance", "%", "_", "\\", "100%", "night of", "paper/default/20", "'", '"state":"filled"')))
def test_text_is_looked_for_as_it_is_written(text):
    bodies = rows("SELECT seq, kind, key, body FROM journal ORDER BY seq DESC")
    expected = [
        seq for seq, kind, key, body in bodies if text.lower() in key.lower() or (kind not in BULKY and text.lower() in body.lower())
    ]
    wanted = Sought(text=text)
    assert how_many(reader(), wanted) == len(expected)
    assert [line.seq for line in lines(reader(), wanted, 0, 50)] == expected[:50]


def test_kinds_and_days_choose(tmp_path):
    last = date.fromisoformat(rows("SELECT substr(max(at), 1, 10) FROM journal WHERE kind = 'fill'")[0][0])
    wanted = sought({"kind": "halts,cash,nonsense", "since": str(last - timedelta(days=400)), "until": str(last), "text": " "})
    assert wanted.kinds == ("halt", "flow") and wanted.text == ""
    found = lines(reader(), wanted, 0, 100)
    assert [line.seq for line in found] == [seq for (seq,) in rows("SELECT seq FROM journal WHERE kind IN ('halt', 'flow') ORDER BY seq DESC")]
    assert any("deposit of 25,000.00 USD" in line.said for line in found) and any(line.said.startswith("halted: ") for line in found)
    (day,) = rows("SELECT substr(at, 1, 10) FROM journal WHERE kind = 'halt' ORDER BY seq LIMIT 1")[0]
    on = Sought(("halt",), date.fromisoformat(day), date.fromisoformat(day))
    assert how_many(reader(), on) == rows("SELECT count(*) FROM journal WHERE kind = 'halt' AND substr(at, 1, 10) = ?", day)[0][0]
    assert sought({"since": "soon", "kind": "x"}) == ALL


def test_every_kind_of_row_has_its_sentence_and_belongs_to_one_filter(tmp_path):
    assert sorted(kind for kinds in GROUPS.values() for kind in kinds) == sorted(KINDS)
    home = tmp_path / "w"
    create(home)
    with Ledger.open(default_path(home)) as ledger:
        write_everything(ledger)
    over = reader_of(home)
    said = {line.kind: line.said for line in lines(over, ALL, 0, 200)}
    assert set(said) == set(KINDS)
    assert all(text and "another version" not in text for text in said.values()), said


def test_a_row_in_full_is_its_json_and_a_decision_s_own_json_is_unfolded():
    (seq, body) = rows("SELECT seq, body FROM journal WHERE kind = 'decision' ORDER BY seq DESC LIMIT 1")[0]
    found = detail(reader(), seq)
    shown = json.loads(found.text) if not found.cut else None
    assert shown is None or shown["body"] == json.loads(json.loads(body)["body"])
    (seq, body) = rows("SELECT seq, body FROM journal WHERE kind = 'fill' ORDER BY seq DESC LIMIT 1")[0]
    assert json.loads(detail(reader(), seq).text) == json.loads(body) and not detail(reader(), seq).cut
    assert detail(reader(), 10**9) is None


@pytest.mark.parametrize("asked", ["0", "-1", "x", "99999999999999999999999", "1; DROP TABLE journal"])
def test_a_row_that_is_none_is_said(asked):
    drawer = part(log.layout(reader(), {"row": asked}), "log-rows-drawer")
    assert drawer.opened and any("has no row" in text for text in texts(drawer))


def test_the_timeline_is_a_sequence_read_as_it_is_asked_for():
    journal = log.Journal(reader(), Sought(("fill",)))
    every = list(journal)
    assert len(every) == len(journal) == rows("SELECT count(*) FROM fills")[0][0]
    assert journal[3:9] == every[3:9] and journal[0] == every[0] and journal[len(journal) - 1] == every[-1]
    assert journal[10**6 : 10**6 + 5] == [] and [row["key"] for row in every] == sorted((row["key"] for row in every), key=int, reverse=True)
    with pytest.raises(IndexError):
        journal[len(journal)]


def test_the_chain_is_verified_on_demand_once_for_each_state(tmp_path, monkeypatch):
    home = booked_workspace(tmp_path / "w")
    over, done = reader_of(home), []
    honest = Ledger.verify
    monkeypatch.setattr(Ledger, "verify", lambda ledger: done.append(1) or honest(ledger))
    log.layout(over, {})
    assert done == []
    settled(home)
    report, _ = verified(over)
    assert report.sound and report.last_hash == chain(over).last_hash and verified(over)[0] == report and done == [1]
    with Ledger.open(default_path(home)) as ledger:
        ledger.post_alert(Alert("a", "info", "t", "x"))
    settled(home)
    verified(over)
    assert done == [1, 1] and tile(log.layout(over, {}), "Rows")[0] == str(report.rows + 1)


def test_what_became_of_an_alert_is_told_channel_by_channel(tmp_path):
    home = booked_workspace(tmp_path / "w")
    with Ledger.open(default_path(home)) as ledger:
        ledger.post_alert(Alert("a", "critical", "U1234567 halted", "see"))
        ledger.post_alert(Alert("b", "info", "quiet", ""))
    before = deliveries(reader_of(home))
    assert {one.state for one in before} == {"not taken by a delivery process"} and before[-1].title == "U…567 halted"
    with DeliveryStore(record_of(home)) as store:
        store.post([Posted("a", "critical", "U1234567 halted", "see", 1.0)], lambda _: ("mail", "chat"), 1.0)
        due = store.due("mail", 2.0)
        store.acknowledged(store.begin("mail", due, "x", 2.0), "mail", 3.0)
    after = {one.title: one.state for one in deliveries(reader_of(home))}
    assert after == {"U…567 halted": "chat waiting; mail delivered", "quiet": "not taken by a delivery process"}


def test_foreign_text_stays_text_and_account_numbers_are_masked(tmp_path):
    home = booked_workspace(tmp_path / "w")
    with Ledger.open(default_path(home)) as ledger:
        for number, text in enumerate(HTML):
            ledger.post_alert(Alert(f"{number}-DU7654321", "warning", text, text))
    page = log.layout(reader_of(home), {"row": "8"})
    kinds = {type(each).__name__ for each in parts(page)}
    assert not kinds & {"Markdown", "Iframe", "Script", "Object", "Embed"} and "7654321" not in str(page)
    table = [line.said for line in lines(reader_of(home), ALL, 0, 100)]
    assert any("<script>" in said for said in table) and not any("7654321" in said for said in table)


def test_the_tail_of_a_log_file_is_shown_masked(tmp_path):
    home = booked_workspace(tmp_path / "w")
    assert tail(home) is None
    (home / "data" / "mech_exo.log").write_text("".join(f"line {n} of U1234567\n" for n in range(5_000)))
    path, said = tail(home)
    assert path.name == "mech_exo.log" and len(said) == log_data.TAIL and said[-1] == "line 4999 of U…567"
    assert any("line 4999" in text for text in texts(log.layout(reader_of(home), {})))


def test_an_empty_ledger_says_what_to_do(workspace):
    assert chain(reader_of(workspace)).rows == 0
    said = texts(log.layout(reader_of(workspace, datetime(2024, 1, 3, 23, tzinfo=UTC)), {}))
    assert any(text.startswith("exo run") for text in said)
