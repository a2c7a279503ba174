"""Test the data pipeline: download, store, publish, read back, and say truly what arrived.

    python scripts/test_pipeline.py                    offline: the real clients against a local server with the synthetic sample market
    python scripts/test_pipeline.py --live SPY AAPL    from Yahoo Finance (and Finnhub with a key in config/api_keys_local.yml)

Everything happens in a temporary workspace; nothing of yours is touched.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from mech_exo.datasource import DataStorage  # noqa: E402
from mech_exo.datasource.demo import LABEL, SampleMarket, sample_market  # noqa: E402
from mech_exo.datasource.replay.sample import SampleVendors  # noqa: E402
from mech_exo.datasource.replay.server import leading_to, replaying  # noqa: E402
from mech_exo.datasource.update import UpdateReport, update  # noqa: E402
from mech_exo.domain.errors import DataError, MechExoError  # noqa: E402
from mech_exo.domain.panel import BarPanel  # noqa: E402
from mech_exo.utils import config as configuration  # noqa: E402
from mech_exo.utils.settings import ApiKeys, Config, DataConfig, Keys  # noqa: E402
from mech_exo.utils.source_settings import SourcesConfig  # noqa: E402

NAMES, DAYS = 10, 365


def main(words: list[str]) -> int:
    """Run the pipeline; 0 when what was stored could be read back, else the error's exit code."""
    options = _options(words)
    try:
        with tempfile.TemporaryDirectory(prefix="mech_exo_") as folder:
            if options.live:
                _run(Path(folder), _live(options.live, options.days), datetime.now(UTC), "", f"live: {', '.join(options.live)}")
            else:
                _offline(Path(folder))
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
    parser.add_argument("--live", nargs="+", metavar="SYMBOL", help="download these symbols from the vendors instead")
    parser.add_argument("--days", type=int, default=30, metavar="N", help="how many days back live bars go")
    return parser.parse_args(words)


def _offline(home: Path) -> None:
    """The vendors' own client libraries, a local server in the vendors' place, and the clock at the end of the sample market."""
    market = sample_market()
    vendors = SampleVendors(market)
    with replaying(home) as server, leading_to(server):
        vendors.serve(server)
        wanted = _config(_listed(market), vendors.now - timedelta(days=DAYS), ApiKeys(finnhub=Keys(api_key=vendors.key)))
        _run(home, wanted, vendors.now, LABEL, LABEL)


def _listed(market: SampleMarket) -> tuple[str, ...]:
    """The first names that still trade on the market's last session."""
    traded = np.flatnonzero(~np.isnan(market.panel.close[-1]))[:NAMES]
    return tuple(market.panel.symbols[place] for place in traded)


def _live(symbols: list[str], days: int) -> Config:
    return _config(tuple(symbols), datetime.now(UTC) - timedelta(days=days), configuration.load(ROOT).keys)


def _config(symbols: tuple[str, ...], since: datetime, keys: ApiKeys) -> Config:
    """Bars and fundamentals from Yahoo; Finnhub's fundamentals and news too where there is a key."""
    vendors = ("yahoo", "finnhub") if keys.finnhub.api_key.get_secret_value() else ("yahoo",)
    sources = SourcesConfig(bars="yahoo", fundamentals=vendors, news=vendors, history_start=since.date())  # type: ignore[arg-type]
    return Config(data=DataConfig(symbols=symbols, sources=sources), keys=keys)


def _run(home: Path, wanted: Config, now: datetime, label: str, said: str) -> None:
    """Download, store and publish, then count."""
    import yfinance

    yfinance.set_tz_cache_location(str(home / "yfinance"))
    with DataStorage(DataStorage.path_in(home)) as storage:
        if label:
            storage.set_label(label)
        report = update(storage, wanted, now=now, progress=lambda text: print(f"… {text}", file=sys.stderr))
        _say(report)
        storage.publish()
    _show(home, said)


def _say(report: UpdateReport) -> None:
    for text in report.attention:
        print(f"⚠️  {text}", file=sys.stderr)
    if not report.changed:
        raise DataError("at least one symbol must come back with something; none did", remedy="check the symbols and the connection")


def _show(home: Path, label: str) -> None:
    """Counted from the published snapshot, as every reader of the store would."""
    with DataStorage.snapshot(home) as snapshot:
        status = snapshot.status()
        share = complete(snapshot.view().panel(), sum(status.quarantined.values())) if status.bars else 0.0
    print(f"Data pipeline status ({label})")
    print(f"{_mark(status.bars)} OHLC records: {status.bars:,}")
    print(f"{_mark(status.fundamentals)} Fundamental records: {status.fundamentals:,}")
    print(f"{_mark(status.news)} News articles: {status.news:,}")
    print(f"📊 Data quality: {math.floor(share * 1000) / 10:g}% complete")


def _mark(count: int) -> str:
    return "✅" if count else "⚠️ "


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
