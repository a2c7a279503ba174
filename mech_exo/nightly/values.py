"""The values of a night: what it is asked for, its steps, what each did, and the words for what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mech_exo.domain.errors import InputError, cut
from mech_exo.execution.route import CONFIGURED, Route

if TYPE_CHECKING:
    from mech_exo.assembly import Workspace
    from mech_exo.execution.sending import SendResult
    from mech_exo.session import NightResult

Made = TypeVar("Made")


class Step(StrEnum):
    """The steps of a night, in their order."""

    DOWNLOAD = "download"
    QUALITY = "quality"
    PUBLISH = "publish"
    DECIDE = "decide"
    SUBMIT = "submit"
    REPORT = "report"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Evening:
    """What a night is asked for: the workspace, the session (None: the last one stored), the present instant, whether to download, and
    where the orders go.

    Only the evening of the session closed last touches the store: a past session is decided from what is published.
    """

    home: Path
    now: datetime
    session: date | None = None
    download: bool = True
    route: Route = CONFIGURED

    @property
    def past(self) -> bool:
        """Whether an earlier session than the one closed last was asked for."""
        from mech_exo.utils.calendar import latest_session

        return self.session is not None and self.session != latest_session(self.now)


@dataclass(frozen=True, slots=True, eq=False)
class Done(Generic[Made]):
    """What a step did: ``value`` is what it made (None: it was skipped), ``attention`` what a person should look at."""

    step: Step
    said: str
    value: Made
    attention: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def skipped(self) -> bool:
        """Whether there was nothing to do."""
        return self.value is None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and logs, without the value."""
        return {"step": self.step, "skipped": self.skipped, "said": self.said, "seconds": self.seconds, "attention": self.attention}


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """A night that was performed: every step, what it decided and sent, its reports."""

    steps: tuple[Done[Any], ...]
    result: NightResult
    reports: tuple[Path, ...]

    @property
    def stale(self) -> bool:
        """Whether deciding wants a look: the bars of the session closed last were wanted and did not come, or an alarm was raised."""
        return any(done.step is Step.DECIDE and done.attention for done in self.steps)

    @property
    def troubled(self) -> bool:
        """Whether an alarm was raised in sending, the broker refused an order, one is in doubt or not sent, or none left of all."""
        outcomes = {sent.outcome for sent in self.result.sent}
        unsent = bool(outcomes & {"rejected", "unknown", "not_sent"}) or bool(outcomes and "live" not in outcomes)
        told = set(withheld(self.result.sent))
        return unsent or any(done.step is Step.SUBMIT and set(done.attention) - told for done in self.steps)


def handed_over(result: NightResult) -> str:
    """How many orders the broker has taken now, of those that were to leave."""
    taken = sum(sent.outcome == "live" for sent in result.sent)
    return f"{taken} of {len(result.sent)} orders handed to the broker for {result.next_session}"


def withheld(sent: Sequence[SendResult]) -> tuple[str, ...]:
    """What the broker has not taken, a sentence for each reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in sent:
        if one.outcome != "live":
            found.setdefault((one.outcome.value.replace("_", " "), one.note), []).append(f"{one.symbol} {one.shares:+d}")
    return tuple(f"{', '.join(orders)} {outcome}: {note}" for (outcome, note), orders in found.items())


def session_of(text: str | None) -> date | None:
    """The session that a flow's parameter asks for, None for the last one. Raises InputError for a date that is none."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InputError(f"a session is written YYYY-MM-DD; got {cut(text or '')!r}") from None


def workspace_of(evening: Evening) -> Workspace:
    """The workspace of an evening, opened anew: nothing is kept from one step to the next."""
    from mech_exo.assembly import Workspace

    return Workspace.open(evening.home, evening.route)
