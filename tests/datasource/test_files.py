"""Other people's files: what is read, what is refused, and what `exo data import` makes of them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from mech_exo.datasource import DataStorage
from mech_exo.datasource.fetching import Status
from mech_exo.datasource.file_forms import form_of, read_form, symbol_in
from mech_exo.datasource.files import FileBars
from mech_exo.domain.errors import DataError, InputError
from mech_exo.domain.panel import PriceBasis
from mech_exo.utils.source_settings import BarsFrom
from tests.datasource.market import bars, days

HEADER = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
ROWS = ("20210104,000000,10,11,9,10.5,1000,0", "20210105,000000,10.5,12,10,11,2000,0")


def stooq(ticker: str, rows: tuple[str, ...] = ROWS, per: str = "D") -> str:
    return "\r\n".join([HEADER, *(f"{ticker},{per},{row}" for row in rows)]) + "\r\n"


def packed(path: Path, members: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def data(exo: Callable[..., Any], workspace: Path) -> Callable[..., Any]:
    return lambda *words: exo("--home", workspace, "data", *words)


@pytest.mark.parametrize(
    ("file", "symbol"),
    [("aapl.us.txt", "AAPL"), ("AAPL.csv", "AAPL"), ("brk-b.us.txt", "BRK.B"), ("BRK.B.csv.gz", "BRK.B"), ("x/y/msft.us.txt", "MSFT"), ("^SPX.csv", "^SPX")],
)
def test_the_symbol_a_file_is_named_after(file: str, symbol: str) -> None:
    assert symbol_in(file) == symbol


def test_a_folder_of_csv_one_per_symbol_and_in_long_form_at_once(tmp_path: Path, data: Callable[..., Any], workspace: Path) -> None:
    folder = tmp_path / "prices"
    (folder / "more").mkdir(parents=True)
    whole = bars(("AAA", "BBB", "CCC", "TRUE"))
    whole.filter(symbol="AAA").drop("symbol").rename({"close": "Close"}).write_csv(folder / "aaa.csv")
    whole.filter(pl.col("symbol").is_in(["BBB", "TRUE"])).write_csv(folder / "more" / "long.csv")
    whole.filter(symbol="CCC").drop("symbol").write_csv(folder / "CCC.csv")
    ran = data("import", folder)
    assert (ran.code, ran.err) == (0, ""), ran.out
    with DataStorage.snapshot(workspace) as stored:
        panel = stored.view().panel()
        assert panel.symbols == ("AAA", "BBB", "CCC", "TRUE") and panel.to_frame().height == whole.height
        assert stored.status().sources == {"prices": "as_traded"}


def test_stooqs_zip_is_split_adjusted_and_its_empty_files_do_no_harm(tmp_path: Path, data: Callable[..., Any], workspace: Path) -> None:
    members = {"data/daily/us/nasdaq stocks/1/aapl.us.txt": stooq("AAPL.US"), "data/daily/us/nyse stocks/brk-b.us.txt": stooq("BRK-B.US"),
               "data/daily/us/nyse stocks/empty.us.txt": ""}  # fmt: skip
    ran = data("import", packed(tmp_path / "d_us_txt.zip", members))
    assert ran.code == 0, ran.err + ran.out
    with DataStorage.snapshot(workspace) as stored:
        panel = stored.view().panel()
        assert panel.symbols == ("AAPL", "BRK.B") and panel.price_basis is PriceBasis.SPLIT_ADJUSTED
        assert panel.close[:, 0].tolist() == [10.5, 11.0] and stored.status().sources == {"d_us_txt": "split_adjusted"}


@pytest.mark.parametrize(
    "name", ["../../etc/evil.us.txt", "/etc/evil.us.txt", "a\\..\\..\\evil.us.txt", "C:/evil.us.txt", "a/\x07.us.txt", "..\\evil.us.txt"]
)
def test_a_zip_with_a_name_that_would_like_to_be_elsewhere_is_refused_whole(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "x.zip", {"good.us.txt": stooq("GOOD.US"), name: stooq("EVIL.US")})
    with pytest.raises(InputError, match="stay inside it"):
        read_form(BarsFrom.STOOQ, path)
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["x.zip"], "nothing was unpacked"


def test_a_zip_that_swells_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mech_exo.datasource import file_forms

    monkeypatch.setattr(file_forms, "LARGEST_MEMBER", 2**20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.us.txt", "0" * (3 * 2**20))
    with pytest.raises(InputError, match="at most 1 MB"):
        read_form(BarsFrom.STOOQ, path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: packed(folder / "x.zip", {"readme.md": "hello"}), "holds Stooq's .txt files"),
        (lambda folder: packed(folder / "x.zip", {"a.us.txt": "date,close\n2021-01-04,1\n"}), "begin with <TICKER>"),
        (lambda folder: packed(folder / "x.zip", {"a.us.txt": stooq("A.US", per="60")}), "<PER> is D"),
        (lambda folder: write(folder / "x.zip", b"PK\x03\x04 no more"), "cannot be read as a .zip"),
        (lambda folder: write(folder / "x.txt", HEADER.replace(",<VOL>", "").encode() + b"\nA.US,D,20210104,0,1,1,1,1,0\n"), "missing: <VOL>"),
        (lambda folder: write(folder / "x.duckdb", b"no database at all" * 500), "cannot be read as a DuckDB file"),
        (lambda folder: write(folder / "x.xlsx", b"PK"), "bars come in"),
        (lambda folder: folder / "nowhere", "must exist"),
        (lambda folder: folder, "holds none"),
    ],
)  # fmt: skip
def test_a_place_without_bars_is_refused_and_says_why(
    tmp_path: Path, data: Callable[..., Any], workspace: Path, make: Callable[[Path], Path], message: str
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    ran = data("import", make(folder))
    assert ran.code == 2 and "Traceback" not in ran.err
    assert message in " ".join(ran.err.split())


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_file_named_after_no_symbol_is_refused_by_its_name(tmp_path: Path) -> None:
    bars(("AAA",)).drop("symbol").write_csv(tmp_path / "my prices (final).csv")
    bars(("AAA",)).drop("symbol").write_csv(tmp_path / "BBB.csv")
    with pytest.raises(InputError, match="named after its symbol"):
        read_form(BarsFrom.CSV, tmp_path)


def test_a_cell_that_is_no_number_is_quarantined_as_it_stands(tmp_path: Path, data: Callable[..., Any]) -> None:
    folder = tmp_path / "prices"
    folder.mkdir()
    for name in ("AAA", "BBB"):
        bars((name,)).drop("symbol").write_csv(folder / f"{name}.csv")
    text = (folder / "AAA.csv").read_text().splitlines()
    text[3] = ",".join([*text[3].split(",")[:4], "ten", *text[3].split(",")[5:]])
    (folder / "AAA.csv").write_text("\n".join(text))
    ran = data("import", folder)
    assert ran.code == 1, "stored, and something wants a look"
    (row,) = json.loads(data("quarantine", "--json").out)
    assert json.loads(row["row"])["close"] == "ten"


def test_duckdb_by_its_only_table_by_name_and_through_a_view(tmp_path: Path, data: Callable[..., Any]) -> None:
    path = tmp_path / "other.duckdb"
    con = duckdb.connect(str(path))
    con.register("rows", bars().to_arrow())
    con.execute('create table "my bars" as select symbol as Ticker, date as "Date", * exclude (symbol, date) from rows').fetchall()
    con.execute("create table notes as select 1 as x").fetchall()
    con.close()
    assert data("import", path).code == 0
    con = duckdb.connect(str(path))
    con.execute('create view v as select * from "my bars" where Ticker = \'AAA\'').fetchall()
    con.close()
    two = data("import", path)
    assert two.code == 2 and "--table NAME" in two.err and "my bars" in two.err
    assert data("import", path, "--table", "v").code == 0
    wrong = data("import", path, "--table", 'x"; drop table notes; --')
    assert wrong.code == 2 and "must be in the file" in wrong.err
    before = path.read_bytes()
    assert data("import", path, "--table", "my bars").code == 0
    assert path.read_bytes() == before, "another program's file is only read"


def test_duckdb_cannot_be_led_out_of_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    bars().write_csv(secret)
    path = tmp_path / "trap.duckdb"
    con = duckdb.connect(str(path))
    con.execute(f"create view prices as select * from read_csv('{secret}')").fetchall()
    con.close()
    with pytest.raises(InputError):
        read_form(BarsFrom.DUCKDB, path, table="prices")


def test_a_night_reads_from_its_first_day_on_and_counts_what_has_no_date(tmp_path: Path) -> None:
    folder = tmp_path / "prices"
    folder.mkdir()
    frame = bars(("AAA",)).drop("symbol").with_columns(pl.col("date").cast(pl.String))
    frame = frame.with_columns(pl.when(pl.col("date") == days()[2].isoformat()).then(pl.lit("5 Jan 21")).otherwise("date").alias("date"))
    frame.write_csv(folder / "AAA.csv")
    source = FileBars(folder, BarsFrom.CSV, clock=lambda: datetime(2021, 1, 15, 22, tzinfo=UTC))
    found = source.fetch(["AAA", "ZZZ"], start=days()[4])
    assert found["date"].to_list() == days()[4:]
    assert source.report[0].detail == "rows without a readable date: 1"
    assert (source.report[1].status, source.report[1].detail) == (Status.UNKNOWN, "not in the files")
    with pytest.raises(DataError, match="ZZZ: unknown"):
        source.fetch(["ZZZ"])


def test_the_form_of_a_place(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "aapl.us.txt").write_text(stooq("AAPL.US"))
    (tmp_path / "b").mkdir()
    bars().write_parquet(tmp_path / "b" / "x.parquet")
    (tmp_path / "c.csv").write_text(stooq("AAPL.US"))
    assert [form_of(tmp_path / name) for name in ("a", "b", "c.csv")] == [BarsFrom.STOOQ, BarsFrom.PARQUET, BarsFrom.STOOQ]


def test_a_parquet_folder_of_categoricals_and_floats(tmp_path: Path) -> None:
    frame = bars().with_columns(pl.col("symbol").cast(pl.Categorical), pl.col("close").cast(pl.Float32))
    frame.write_parquet(tmp_path / "x.parquet")
    source = FileBars(tmp_path, BarsFrom.PARQUET)
    assert source.fetch(["BBB"], end=date(2021, 1, 8))["symbol"].unique().to_list() == ["BBB"]


def test_damaged_archives_and_columns_are_refused_in_words(tmp_path: Path) -> None:
    rows = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n" + "AAA.US,D,20240102,000000,1,2,1,1,100,0\n" * 9
    packed = tmp_path / "s.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("aaa.us.txt", rows)
    raw = bytearray(packed.read_bytes())
    raw[45] ^= 0xFF
    packed.write_bytes(raw)
    with pytest.raises(InputError, match=r"cannot be read as a \.zip"):
        read_form(BarsFrom.STOOQ, packed)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "AAA.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(InputError, match=r"AAA\.parquet cannot be read as Parquet"):
        read_form(BarsFrom.PARQUET, tmp_path / "p", {"AAA"})


def test_a_folders_name_is_a_name_and_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "prices [old]"
    folder.mkdir()
    (folder / "AAA.csv").write_text("date,open,high,low,close,volume\n2024-01-02,1,2,1,1,5\n")
    pl.read_csv(folder / "AAA.csv", glob=False).write_parquet(folder / "BBB.parquet")
    assert read_form(BarsFrom.CSV, folder)["symbol"].to_list() == ["AAA"]
    assert read_form(BarsFrom.PARQUET, folder)["symbol"].to_list() == ["BBB"]
