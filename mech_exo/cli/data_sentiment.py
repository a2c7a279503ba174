"""``exo data sentiment``: judge a text, or the stored headlines anew after the model changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mech_exo.cli import home
from mech_exo.cli.output import JsonOption, emit

if TYPE_CHECKING:
    from rich.console import Console


def sentiment(
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]...", help="Headlines to judge; nothing is stored then.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Score the stored headlines with the present model, then publish; or judge the headlines given.

    A new model's score is a new version of the headline, known from now: what was decided before stays explained by the score of its day.
    """
    from mech_exo.datasource.sentiment import scorer
    from mech_exo.domain.errors import ConfigError
    from mech_exo.utils.config import load
    from mech_exo.utils.settings import DataConfig

    place = home()
    settings = load(place).data if (place / "config").is_dir() else DataConfig()
    judge = scorer(settings.sentiment)
    if judge is None:
        raise ConfigError("a headline is judged by a scorer; data.sentiment is none", remedy="sentiment: linear in data.yml")
    if texts:
        scores = [float(score) for score in judge.score(texts)]
        found = [{"text": text, "score": score} for text, score in zip(texts, scores, strict=True)]
        emit({"model": judge.version, "headlines": found}, as_json, lambda paper: _show(paper, judge.version, texts, scores))
        return
    from mech_exo.datasource.storage import DataStorage
    from mech_exo.domain.errors import MissingDataError

    database = DataStorage.path_in(place)
    if not database.exists():
        raise MissingDataError(f"headlines must be stored first; {database} does not exist", remedy="exo data import FILE…")
    with DataStorage(database) as storage:
        summary = storage.score_news(judge)
        reference = storage.publish()
    said = f"{summary.restated:,} of {summary.rows:,} headlines scored anew by {judge.version}; snapshot {reference.hash}"
    emit({"model": judge.version, "news": summary, "snapshot": reference.hash}, as_json, lambda paper: paper.print(said, highlight=False))


def _show(paper: Console, model: str, texts: list[str], scores: list[float]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("score", "headline", title=f"{model}: -1 bad news, 0 neither, 1 good news")
    for text, score in zip(texts, scores, strict=True):
        table.add_row("unknown" if score != score else f"{score:+.2f}", Text(text))
    paper.print(table)
