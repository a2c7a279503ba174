"""Try the scoring system: rank the workspace's stored universe, or the built-in synthetic sample market if nothing is stored.

    python scripts/test_scoring.py            # the workspace is $EXO_HOME or this repository
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))


def scorer(scratch: Path):
    """The workspace's scorer; the sample market's, in ``scratch``, where nothing has been imported."""
    from mech_exo.datasource import DataStorage
    from mech_exo.datasource.demo import sample_market
    from mech_exo.domain.errors import MissingDataError
    from mech_exo.scoring import IdeaScorer
    from mech_exo.utils.config import load
    from mech_exo.utils.workspace import home_folder

    try:
        return IdeaScorer()
    except MissingDataError as nothing_stored:
        print(f"{nothing_stored}\n\nUsing the synthetic sample market instead.\n")
    with DataStorage(DataStorage.path_in(scratch)) as market:
        sample_market(symbols=100, years=3).store(market)
        market.publish()
    return IdeaScorer(DataStorage.snapshot(scratch), load(home_folder()))


def show(scorer) -> None:
    ranking = scorer.ranking()
    print(f"🏆 Top Investment Ideas: (close of {ranking.as_of})")
    print(ranking)
    if ranking.frame.height:
        print(f"\nWhy:\n{scorer.explain(ranking.frame['symbol'][0], ranking.as_of)}")


def main() -> int:
    from mech_exo.domain.errors import MechExoError

    os.environ.setdefault("EXO_HOME", str(REPOSITORY))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            show(scorer(Path(scratch)))
        except MechExoError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
