"""Exports: the ledger's own figures in files, text that cannot begin a formula, and nothing outside the folder."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mech_exo.assembly import Workspace
from mech_exo.cli.ranges import Span, span
from mech_exo.domain.errors import InputError, MissingDataError, UserError
from mech_exo.domain.orders import OrderReason
from mech_exo.execution.rows import Alert
from mech_exo.reporting import export as module
from mech_exo.reporting.export import Exported, Format, Kind, Wanted, export, kinds_of
from mech_exo.reporting.formulas import guarded, unguarded
from tests.session.stage import body, days, decide_every, play, stored

Exo = Callable[..., Any]
NIGHTS = days("2021-06-21", 9)
EVIL = '=HYPERLINK("http://evil.example","U1234567")'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine nights and an alert whose text is an attack. Not to be changed."""
    home = stored(tmp_path_factory.mktemp("export") / "w")
    decide_every(home, 4)
    play(home, NIGHTS)
    with Workspace.open(home).ledger() as ledger:
        ledger.post_alert(Alert("evil", "info", EVIL, "+1\nU1234567 is not to be told"))
    return home


def write(home: Path, kinds: tuple[Kind, ...], folder: Path, **more: Any) -> tuple[Exported, ...]:
    workspace = Workspace.open(home)
    with workspace.ledger(read_only=True) as ledger:
        return export(workspace, ledger, workspace.book_id(), Wanted(kinds, folder, **more))


def frame(files: tuple[Exported, ...], kind: Kind) -> pl.DataFrame:
    (one,) = [one for one in files if one.kind is kind]
    read = pl.read_parquet(one.path) if one.path.suffix == ".parquet" else pl.read_csv(one.path, try_parse_dates=True)
    assert read.height == one.rows
    return read


@pytest.fixture(scope="module")
def written(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Exported, ...]]:
    """Every kind in both formats."""
    folder = tmp_path_factory.mktemp("out")
    return {one.value: write(made, tuple(Kind), folder / "new" / one.value, format=one) for one in Format}


@pytest.mark.parametrize("kind", list(Kind))
def test_both_formats_say_the_same(written: dict[str, tuple[Exported, ...]], kind: Kind) -> None:
    table, text = frame(written["parquet"], kind), frame(written["csv"], kind)
    assert table.columns == text.columns and table.columns[:2] == ["account", "strategy"]
    texts = [name for name, type_ in table.schema.items() if type_ == pl.String]
    same = text.with_columns(pl.col(name).cast(table.schema[name]) for name in table.columns if name not in texts)
    same = same.with_columns(pl.col(name).cast(pl.String) for name in texts)  # a column without a value has no type in a text file
    assert unguarded(same).equals(table)
    assert table.height > 0
    assert not any(table[name].is_nan().any() for name, type_ in table.schema.items() if type_ == pl.Float64), "unknown is null"


def test_figures_are_the_ledgers(made: Path, written: dict[str, tuple[Exported, ...]]) -> None:
    files = written["parquet"]
    workspace = Workspace.open(made)
    with workspace.ledger(read_only=True) as ledger:
        book = workspace.book_id()
        fills, orders, history = ledger.fills(book), ledger.orders(book), ledger.day_history(book)
        rows = {one.session: ledger.session(book, one.session) for one in history}
    told = frame(files, Kind.FILLS)
    assert told.select("fill_id", "shares", "price_usd", "commission_usd").rows() == [
        (row.fill.id, row.fill.shares, row.fill.price, row.fill.commission) for row in fills
    ]
    assert told["slippage_usd"].to_list() == [row.fill.slippage for row in fills]
    assert set(told["reason"]) <= {reason.value for reason in OrderReason} - {"none"}
    assert frame(files, Kind.ORDERS)["order_id"].to_list() == [row.order.id for row in orders]
    assert any(row.order.session > NIGHTS[-1] for row in orders), "tonight's, which wait for the next session, are among them"
    nav = frame(files, Kind.NAV)
    assert nav.select("session", "nav_usd", "cash_usd").rows() == [(one.session, one.day.nav, one.day.cash) for one in history]
    held = frame(files, Kind.POSITIONS)
    for session, lines in held.group_by("session"):
        row = rows[session[0]]
        assert row is not None
        assert {line.symbol: int(line.shares) for line in row.lines if line.shares} == dict(lines.select("symbol", "shares").rows())
        assert math.fsum(lines["value_usd"]) + row.day.cash == pytest.approx(row.day.nav, abs=1e-6)
        assert math.fsum(lines["weight_of_nav"]) == pytest.approx(row.day.long_value / row.day.nav, abs=1e-12)


def test_decisions_are_flat_and_add_up(made: Path, written: dict[str, tuple[Exported, ...]]) -> None:
    told = frame(written["parquet"], Kind.DECISIONS)
    for night in (NIGHTS[0], NIGHTS[1]):
        journal, rows = body(made, night), told.filter(pl.col("session") == night)
        scored = rows.filter(pl.col("rank").is_not_null())
        assert scored.select("symbol", "rank", "score").rows() == [(x["symbol"], x["rank"], x["score"]) for x in journal["scores"]]
        assert rows["scheduled"].unique().to_list() == [journal["scheduled"]]
        parts = [name for name in told.columns if name.endswith("_contribution")]
        line = journal["scores"][0]
        assert {name.removesuffix("_contribution") for name in parts} >= set(line["factors"])
        for name, factor in line["factors"].items():
            assert scored[f"{name}_raw"][0] == factor["raw"] and scored[f"{name}_contribution"][0] == factor["contribution"]
        ordered = {x["symbol"]: (x["id"], x["shares"]) for x in journal["orders"]}
        assert {row["symbol"]: (row["order_id"], row["ordered_shares"]) for row in rows.to_dicts() if row["order_id"]} == ordered
        assert {x["symbol"]: x["shares"] for x in journal["targets"]} == {
            row["symbol"]: row["target_shares"] for row in rows.to_dicts() if row["target_shares"] is not None
        }
    assert told.unique(["session", "symbol"]).height == told.height


def test_a_range_is_kept_to_and_in_the_name(made: Path, tmp_path: Path) -> None:
    (one,) = write(made, (Kind.NAV,), tmp_path, first=NIGHTS[3] - timedelta(1), last=NIGHTS[5])
    assert one.path.name == f"nav_{NIGHTS[3] if NIGHTS[2] < NIGHTS[3] - timedelta(1) else NIGHTS[2]}_{NIGHTS[5]}.csv"
    assert frame((one,), Kind.NAV)["session"].max() == NIGHTS[5]
    with pytest.raises(MissingDataError, match="no session"):
        write(made, (Kind.NAV,), tmp_path, first=date(2030, 1, 1))


def test_accounts_are_masked_unless_asked_for(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.open(made)
    with workspace.ledger(read_only=True) as ledger:
        book = replace(workspace.book_id(), account="U1234567")
        paper = workspace.book_id()
        monkeypatch.setattr(module, "_covered", lambda *_: (NIGHTS[0], NIGHTS[-1]))
        asked = Wanted((Kind.ALERTS,), tmp_path / "a")
        (hidden,) = export(workspace, ledger, book, asked)
        (open_,) = export(workspace, ledger, book, replace(asked, folder=tmp_path / "b", with_account=True))
    assert paper.account == "paper"
    assert "1234567" not in hidden.path.read_text() and "U…567" in hidden.path.read_text()
    assert open_.path.read_text().count("U1234567") >= 3


def test_no_text_begins_a_formula(made: Path, tmp_path: Path) -> None:
    (one,) = write(made, (Kind.ALERTS,), tmp_path)
    with one.path.open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'" + EVIL.replace("U1234567", "U…567") in cells
    assert all(not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in cells)


AWKWARD = st.text(
    st.sampled_from("=+-@＝＋－＠\t\r\n '\"‘’“”\u200b\ufeff\x00,;ab1") | st.characters(exclude_categories=("Cs",)), max_size=12
)


@given(st.lists(st.none() | AWKWARD, max_size=20))
def test_guarding_is_undone_exactly_and_leaves_no_formula(texts: list[str | None]) -> None:
    frame = pl.DataFrame({"text": texts, "number": [-1.5] * len(texts)}, schema={"text": pl.String, "number": pl.Float64})
    safe = guarded(frame)
    assert unguarded(safe).equals(frame)
    assert safe["number"].equals(frame["number"])
    for text in safe["text"].drop_nulls():
        bare = text.lstrip(" '\"‘’“”\u200b\ufeff\x00\t\r\n\xa0")
        dangerous = bare[:1] in tuple("=+-@＝＋－＠") and bare
        assert text[:1] not in tuple("=+-@\t\r\n＝＋－＠") or not text
        assert not dangerous or text.startswith("'")


@given(st.lists(AWKWARD.filter(lambda text: "\x00" not in text), min_size=1, max_size=8))
def test_a_csv_reads_back(texts: list[str]) -> None:
    frame = pl.DataFrame({"text": texts, "number": [-0.25] * len(texts)})
    text = guarded(frame).write_csv(quote_style="non_numeric")
    read = pl.read_csv(text.encode(), schema={"text": pl.String, "number": pl.Float64})
    assert unguarded(read.with_columns(pl.col("text").fill_null(""))).equals(frame)


def test_files_that_are_there_are_not_replaced_unless_forced(made: Path, tmp_path: Path) -> None:
    (one,) = write(made, (Kind.NAV,), tmp_path)
    before = one.path.read_bytes()
    one.path.write_text("mine")
    with pytest.raises(UserError, match="replaces no file") as caught:
        write(made, (Kind.FILLS, Kind.NAV), tmp_path)
    assert "--force" in str(caught.value) and one.path.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [one.path.name], "all of them appear, or none"
    write(made, (Kind.NAV,), tmp_path, force=True)
    assert one.path.read_bytes() == before


def test_a_link_in_the_folder_leads_nowhere(made: Path, tmp_path: Path) -> None:
    """Who may write into the folder cannot make an export write elsewhere."""
    folder, victim = tmp_path / "out", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    (one,) = write(made, (Kind.NAV,), folder)
    one.path.unlink()
    one.path.symlink_to(victim)
    with pytest.raises(UserError, match="replaces no file"):
        write(made, (Kind.NAV,), folder)
    write(made, (Kind.NAV,), folder, force=True)
    assert victim.read_text() == "precious" and not one.path.is_symlink()


def test_what_fails_half_way_leaves_nothing(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    calls = [module._csv, full]

    def write_csv(*given: Any) -> int:
        return calls.pop(0)(*given)

    monkeypatch.setattr(module, "_csv", write_csv)
    with pytest.raises(UserError, match="No space left"):
        write(made, (Kind.NAV, Kind.FILLS), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_said(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="must be writable"):
        write(made, (Kind.NAV,), tmp_path / "file")


def test_the_command(exo: Exo, made: Path, tmp_path: Path) -> None:
    ran = exo("export", "--home", made, "--range", "last7d", "--what", "fills,positions,nav,decisions", "--out", tmp_path, "--json")
    data = json.loads(ran.out)
    assert ran.code == 0 and [one["what"] for one in data["files"]] == ["fills", "positions", "nav", "decisions"]
    first = NIGHTS[-1] - timedelta(6)
    nav = pl.read_csv(data["files"][2]["path"], try_parse_dates=True)
    assert nav["session"].to_list() == [night for night in NIGHTS if night >= first]
    assert all(os.stat(one["path"]).st_mode & 0o077 == 0 for one in data["files"])
    for words, said in (
        (("--what", "nav,gold"), "gold"), (("--format", "xlsx"), "csv or parquet"), (("--range", "../../etc"), "a range is"),
        (("--range", "2021-07"), "replaces no file"),
    ):  # fmt: skip
        again = exo("export", "--home", made, "--out", tmp_path, *words)
        if words[1] == "2021-07":
            assert again.code == 0
            again = exo("export", "--home", made, "--out", tmp_path, *words)
        assert again.code == 2 and said in again.err and "→" in again.err and "Traceback" not in again.err


def test_a_workspace_without_a_book(exo: Exo, workspace: Path) -> None:
    ran = exo("export", "--home", workspace)
    assert ran.code == 3 and "→" in ran.err


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("last1d", Span(date(2024, 2, 29), None)),
        ("LAST7D", Span(date(2024, 2, 23), None)),
        ("ytd", Span(date(2024, 1, 1), None)),
        ("all", Span(None, None)),
        ("2024-02", Span(date(2024, 2, 1), date(2024, 2, 29))),
        ("2023-12-31", Span(date(2023, 12, 31), date(2023, 12, 31))),
        ("2023-12-31..2024-01-02", Span(date(2023, 12, 31), date(2024, 1, 2))),
        ("..2024-01-02", Span(None, date(2024, 1, 2))),
        ("2024-01-02..", Span(date(2024, 1, 2), None)),
    ],
)
def test_ranges(text: str, meant: Span) -> None:
    assert span(text, date(2024, 2, 29)) == meant


@pytest.mark.parametrize(
    "text", ["", "last0d", "last-1d", "last99999999d", "2024-13", "2024-02-30", "2024-01-02...2024", "1..2", "20240102", "tomorrow"]
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(InputError):
        span(text, date(2024, 2, 29))


def test_a_range_the_wrong_way_round_names_the_right_one() -> None:
    with pytest.raises(InputError, match=r"--range 2024-01-01\.\.2024-01-02"):
        span("2024-01-02..2024-01-01", None)


def test_kinds() -> None:
    assert kinds_of(["nav, fills", "nav"]) == (Kind.NAV, Kind.FILLS)
    assert kinds_of(["all"]) == tuple(Kind)
    with pytest.raises(UserError, match="got nothing"):
        kinds_of([" , "])


def test_nothing_is_left_beside(made: Path, tmp_path: Path) -> None:
    write(made, tuple(Kind), tmp_path)
    assert not list(tmp_path.glob(".*"))
