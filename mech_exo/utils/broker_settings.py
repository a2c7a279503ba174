"""``broker.yml``: where orders go and when they may leave. No part of a decision, so no part of the config hash."""

from __future__ import annotations

from datetime import time
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from mech_exo.utils.model import Model, Positive, PositiveFraction
from mech_exo.utils.plugin_settings import PluginName, Plugins, named

Seconds = Annotated[float, Field(gt=0.0, le=600.0)]
Minutes = Annotated[int, Field(ge=0, le=240)]


class BrokerKind(StrEnum):
    """Who fills: the program's own fill model, or Interactive Brokers."""

    PAPER = "paper"
    IB = "ib"


class Program(StrEnum):
    """Which program of Interactive Brokers listens."""

    GATEWAY = "gateway"
    TWS = "tws"


PORTS = {(Program.GATEWAY, False): 4002, (Program.GATEWAY, True): 4001, (Program.TWS, False): 7497, (Program.TWS, True): 7496}
"""Where each program listens for paper (False) and live (True), unless it was told otherwise."""


class GatewayRules(Model):
    """``gateway:`` of ``broker.yml``: how Interactive Brokers' program is reached.

    The account is ``ib_account`` of ``api_keys_local.yml``.
    """

    program: Program = Field(Program.GATEWAY, description="ports by name: Gateway 4002 paper and 4001 live, TWS 7497 and 7496")
    host: Annotated[str, Field(min_length=1, max_length=255)] = Field("127.0.0.1", description="where Gateway or TWS listens")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="null: the program's own for the mode")
    client_id: Annotated[int, Field(ge=0, le=31)] = Field(17, description="each connected program has its own")
    connect_seconds: Seconds = Field(15.0, description="until a connection that is not complete is given up")
    answer_seconds: Seconds = Field(15.0, description="until a question without an end marker counts as not answered")
    probe_seconds: Seconds = Field(1.0, description="of the round trip before each order")
    acknowledge_seconds: Seconds = Field(5.0, description="until an order without an acknowledgement is in doubt")
    messages_per_second: Annotated[int, Field(ge=1, le=45)] = Field(40, description="Interactive Brokers drops who exceeds 50")

    def port_of(self, *, live: bool) -> int:
        """The port given, else the program's own for the mode."""
        return PORTS[self.program, live] if self.port is None else self.port


class SendingTimes(Model):
    """``times:`` of ``broker.yml``: when nothing is sent. Times of day in New York."""

    restart: time = Field(time(23, 45), description="the gateway's nightly restart")
    quiet_minutes: Minutes = Field(5, description="before and after it")
    open_cutoff_minutes: Minutes = Field(5, description="before the open: the last orders for it")
    close_cutoff_minutes: Minutes = Field(15, description="before the close: the last orders for it")

    @model_validator(mode="after")
    def _of_new_york(self) -> SendingTimes:
        if self.restart.tzinfo is not None:
            raise ValueError(f"restart is a time of day in New York without a zone of its own; got {self.restart.isoformat()}")
        return self


class DoubtRules(Model):
    """``doubt:`` of ``broker.yml``: when an order that nobody has seen is given up. It is never sent again."""

    snapshots: Annotated[int, Field(ge=3, le=100)] = Field(3, description="clean comparisons that do not show it")
    minutes: Annotated[float, Field(ge=2.0, le=1440.0)] = Field(2.0, description="from the first of them to the last")


class LiveRules(Model):
    """``live:`` of ``broker.yml``: what must hold before real money moves."""

    enabled: bool = Field(False, description="true: real money may move, once all else holds too")
    min_paper_sessions: Annotated[int, Field(ge=0, le=1000)] = Field(20, description="booked by this strategy on paper before")
    first_sessions: Annotated[int, Field(ge=0, le=250)] = Field(5, description="live sessions with the caps below")
    first_max_orders: Annotated[int, Field(ge=1, le=10_000)] = Field(10, description="per session, of those that add risk")
    first_max_notional: Positive = Field(10_000.0, description="USD per session, of orders that add risk")
    sentinel: bool = Field(False, description="a one-share order far from the market is placed and cancelled before the first one")


class Slicing(Model):
    """``slicing:`` of ``broker.yml``: a large order is cut into children over the session."""

    above_volume_share: PositiveFraction | None = Field(None, description="of the average daily volume; null: no order is cut")
    minutes: Annotated[int, Field(ge=5, le=390)] = Field(120, description="from the open to the last child")
    every_minutes: Annotated[int, Field(ge=1, le=120)] = Field(15, description="between children")

    @model_validator(mode="after")
    def _fits(self) -> Slicing:
        if self.every_minutes > self.minutes:
            raise ValueError(f"every_minutes cannot exceed minutes; got {self.every_minutes} and {self.minutes}")
        return self


class BrokerConfig(Model):
    """``broker.yml``."""

    kind: BrokerKind | PluginName = Field(BrokerKind.PAPER, description="what commands mean when they do not name a broker")
    account: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | None = Field(
        None, description="of a broker of a plug-in, as it names it; that of Interactive Brokers is ib_account in api_keys_local.yml"
    )
    settings: dict[str, str | float | int | bool] = Field(default_factory=dict, description="for a broker of a plug-in, its own names")
    plugins: Plugins = Field((), description="files and modules with brokers of your own; docs/writing-a-broker.md")
    gateway: GatewayRules = GatewayRules()
    times: SendingTimes = SendingTimes()
    doubt: DoubtRules = DoubtRules()
    live: LiveRules = LiveRules()
    slicing: Slicing = Slicing()

    @model_validator(mode="after")
    def _has_an_account(self) -> BrokerConfig:
        if named(self.kind) is not None and self.account is None:
            raise ValueError(f"kind {self.kind} needs account: the account's name at that broker, part of every order's id")
        return self
