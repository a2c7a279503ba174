"""Test the data pipeline: fetch, store, publish, read back, and say truly what arrived.

    python scripts/test_pipeline.py                    offline, on the synthetic sample market
    python scripts/test_pipeline.py --live SPY AAPL    from Yahoo Finance (and Finnhub with a key in config/api_keys_local.yml)

Everything happens in a temporary workspace; nothing of yours is touched.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from mech_exo.datasource import DataStorage, FundamentalFetcher, NewsScraper, OHLCDownloader  # noqa: E402
from mech_exo.datasource.demo import LABEL, sample_market  # noqa: E402
from mech_exo.datasource.fetching import Outcome, Status  # noqa: E402
from mech_exo.domain.errors import DataError, MechExoError  # noqa: E402
from mech_exo.domain.panel import BarPanel  # noqa: E402
from mech_exo.utils import config  # noqa: E402


def main(words: list[str]) -> int:
    """Run the pipeline; 0 when what was stored could be read back, else the error's exit code."""
    options = _options(words)
    try:
        with tempfile.TemporaryDirectory(prefix="mech_exo_") as folder:
            home = Path(folder)
            with DataStorage(home / "data" / "mech_exo.duckdb") as storage:
                if options.live:
                    _download(storage, options.live, options.period)
                else:
                    sample_market().store(storage)
                storage.publish()
            _report(home, f"live: {', '.join(options.live)}" if options.live else LABEL)
    except MechExoError as error:
        print(f"❌ {error}", file=sys.stderr)
        return error.exit_code
    return 0


def complete(panel: BarPanel, refused: int) -> float:
    """Share of the sessions between each name's first and last bar that have a good bar; a refused row counts as missing."""
    traded = ~np.isnan(panel.close)
    begun, ended = np.maximum.accumulate(traded, axis=0), np.flip(np.maximum.accumulate(np.flip(traded, axis=0), axis=0), axis=0)
    span = int((begun & ended).sum())
    return int(traded.sum()) / (span + refused)


def _options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Test the data pipeline, offline on the synthetic sample market unless --live is given.")
    parser.add_argument("--live", nargs="+", metavar="SYMBOL", help="fetch these symbols from the vendors instead")
    parser.add_argument("--period", default="1mo", help="how far back live bars go (5d, 1mo, 1y, max)")
    return parser.parse_args(words)


def _download(storage: DataStorage, symbols: list[str], period: str) -> None:
    """Bars are needed; fundamentals and news are said to be missing where they are."""
    settings = config.load(ROOT)
    prices = OHLCDownloader(settings)
    storage.store_ohlc_data(prices.fetch(symbols, period=period), source=prices.name)
    _say(prices.report)
    fundamentals, news = FundamentalFetcher(settings), NewsScraper(settings)
    try:
        for facts in fundamentals.fetch(symbols).partition_by("source"):
            storage.store_fundamentals(facts, source=facts["source"][0])
    except DataError as error:
        print(f"⚠️  no fundamentals: {error}", file=sys.stderr)
    try:
        found = news.fetch(symbols, days=7)
        if not found.is_empty():
            storage.store_news(found)
    except DataError as error:
        print(f"⚠️  no news: {error}", file=sys.stderr)
    _say((*fundamentals.report, *news.report))


def _say(report: tuple[Outcome, ...]) -> None:
    for outcome in report:
        if outcome.status is not Status.OK or outcome.detail:
            print(f"⚠️  {outcome.symbol}: {outcome.status} {outcome.detail}", file=sys.stderr)


def _report(home: Path, label: str) -> None:
    """Counted from the published snapshot, as every reader of the store would."""
    with DataStorage.snapshot(home) as snapshot:
        status = snapshot.status()
        share = complete(snapshot.view().panel(), sum(status.quarantined.values()))
    print(f"Data pipeline status ({label})")
    print(f"✅ OHLC records: {status.bars:,}")
    print(f"{_mark(status.fundamentals)} Fundamental records: {status.fundamentals:,}")
    print(f"{_mark(status.news)} News articles: {status.news:,}")
    print(f"📊 Data quality: {share:.2%} complete")


def _mark(count: int) -> str:
    return "✅" if count else "⚠️ "


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
