"""One connection to Gateway or TWS: the event loop and its thread, the pace of messages, what could not be read.

It only moves messages, and knows what no order means.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import re
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from mech_exo.domain.errors import BrokerError, UserError
from mech_exo.execution import ib_guards as guards
from mech_exo.execution import ib_messages as words
from mech_exo.execution.broker import NotSentError
from mech_exo.execution.ib_listener import UNREADABLE, Listener
from mech_exo.utils.broker_settings import GatewayRules
from mech_exo.utils.log import mask_accounts

WINDOW_SECONDS = 1.02  # a little over the second in which the broker counts


class _Quiet(logging.Filter):
    """The library's log names accounts, and shouts what this module says in plainer words: masked, and for debugging only."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = mask_accounts(record.getMessage()), ()
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return True


_QUIET = _Quiet()


class Link:
    """One connection: the loop, its thread and the library's client. Made for one use."""

    def __init__(self, listener: Listener, rules: GatewayRules) -> None:
        try:
            from ib_async.client import Client
        except ImportError:
            remedy = "pip install 'mech-exo[ib]'"
            raise UserError("Interactive Brokers needs the package ib_async, which is not installed", remedy=remedy) from None

        for name in ("ib_async.client", "eventkit.event"):
            logging.getLogger(name).addFilter(_QUIET)
        self._listener, self._rules = listener, rules
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ib", daemon=True)
        self._written: deque[float] = deque()
        self._first = b""
        self.client = cast("Any", Client)(listener)
        self.client.MaxRequests = 0  # no queue: see the module
        self.client.decoder.logger = UnreadMessages(listener)
        self.client.conn.hasData += self._on_first
        self.client.conn.hasData.error_event += self._on_unreadable
        self.port = 0

    def open(self, port: int) -> None:
        """Connect and log in. Raises BrokerError saying what to do."""
        self.port = port
        self._thread.start()
        rules, listener = self._rules, self._listener
        login = self.client.connectAsync(rules.host, port, rules.client_id, 2.0 * rules.connect_seconds)  # the limit is kept below
        attempt = asyncio.run_coroutine_threadsafe(login, self._loop)
        attempt.add_done_callback(lambda _: listener.wake())
        listener.wait(attempt.done, rules.connect_seconds)
        failure = attempt.exception() if attempt.done() else None
        if failure is not None or not (attempt.done() and self.client.isReady()):
            error = guards.not_connected(rules, port, failure, closed=listener.closed, trouble=listener.trouble)
            attempt.cancel()
            raise error

    def write(self, *actions: Callable[[Any], None], alone: bool = False) -> None:
        """Hand messages to the transport, within the pace. Raises NotSentError when provably none of them left, else BrokerError.

        ``alone``: nothing written before may still wait to leave.
        """
        for _ in actions:
            self._keep_pace()
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def run() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    self._hand_over(actions, alone)
                    done.set_result(None)
                except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                    done.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(run)
            done.result(self._rules.answer_seconds)
        except RuntimeError:
            raise gone() from None
        except concurrent.futures.TimeoutError:
            if done.cancel():
                raise NotSentError("the connection's thread does not run", remedy="run it again") from None
            raise BrokerError("the connection's thread does not come back", remedy="run it again") from None

    def _hand_over(self, actions: Sequence[Callable[[Any], None]], alone: bool) -> None:
        transport = self.client.conn.transport
        if transport is None or transport.is_closing() or not self.client.isReady():
            raise gone()
        if alone and transport.get_write_buffer_size():
            raise NotSentError("earlier messages have not left this machine: the gateway does not read", remedy="restart Gateway or TWS")
        for count, action in enumerate(actions):
            action(self.client)
            if transport.is_closing():  # the system took not one byte of it
                raise gone() if count == 0 else BrokerError("the connection broke while an order and its legs were written")

    def _keep_pace(self) -> None:
        """Wait until one more message keeps within the broker's rate."""
        while self._written and self._written[0] <= time.monotonic() - WINDOW_SECONDS:
            self._written.popleft()
        if len(self._written) >= self._rules.messages_per_second:
            time.sleep(max(0.0, self._written.popleft() + WINDOW_SECONDS - time.monotonic()))
        self._written.append(time.monotonic())

    def close(self) -> None:
        """End the connection and the thread."""

        async def shut() -> None:
            self.client.disconnect()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)
            transport = self.client.conn.transport
            if transport is not None:
                transport.abort()
            await asyncio.sleep(0)

        if self._thread.is_alive():
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(shut(), self._loop).result(self._rules.answer_seconds)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(self._rules.answer_seconds)
        self._loop.close()

    def _on_first(self, data: bytes) -> None:
        """The zone of the gateway's clock stands in its first message, which the library does not keep."""
        if self._listener.zone is None and len(self._first) < 256:
            self._first += data
            length = struct.unpack(">I", self._first[:4])[0] if len(self._first) >= 4 else 256
            fields = self._first[4 : 4 + length].split(b"\0")
            if len(fields) >= 3 and len(self._first) >= 4 + length:
                self._listener.zone = words.zone_of(fields[1].decode("ascii", "replace"))
                self._first = b" " * 256

    def _on_unreadable(self, _event: object, error: Exception) -> None:
        self._listener.lose_sight(f"{UNREADABLE}: {type(error).__name__}")


def gone() -> NotSentError:
    """What to say of a connection that ended."""
    return NotSentError("the connection to Interactive Brokers is gone", remedy="run it again: it connects anew")


class UnreadMessages:
    """Stands where the decoder logs what it could not read: the message is lost, and so is the certainty about orders."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def exception(self, text: str) -> None:
        """A message could not be read. Of its content, which names the account, only the kind is told."""
        kind = re.search(r"\['(\d+)'|Error for (\w+)", text)
        self._listener.lose_sight(f"{UNREADABLE}: {(kind[1] or kind[2]) if kind else 'of no kind'}")
