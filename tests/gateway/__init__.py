"""A fake gateway of Interactive Brokers: the TWS protocol over TCP, for tests. An unmodified ib_async talks to it.

    with FakeGateway(version=178, account="DU1234567", cash=100_000.0) as gateway:
        broker.connect()                                 # to 127.0.0.1, gateway.port
        gateway.exchange.open_session({"AAPL": 150.0})   # the opening auction

It listens in a thread of this process; ``python -m tests.gateway --port 0 --state FILE`` is one in a process of its own, whose state
survives (:mod:`tests.gateway.control`). Nothing fills of itself: prices come from the test.

``gateway``
    ``sends(ref)`` how often an order of that reference *arrived*, ``accepted(ref)`` how often one was taken; ``wait(condition)``;
    ``received`` messages by number, ``placed`` the orders as they came, ``peak`` the most messages in any second.
    ``restart()`` (connections end, order ids begin anew), ``drop()`` (reset every connection), ``down()``/``up()``, ``freeze()``,
    ``mute(message_id)``, ``lose_server()``/``regain_server(kept=)`` (1100; 1101/1102), ``announce(code)``, ``roll_back_ids()``,
    ``release()`` (say what was late, take what was held), ``pace(rate)``, ``read_only``, ``bars`` (history by symbol).
``gateway.exchange``
    ``enlist(symbol)``, ``open_session(prices)``, ``trade(symbol, price)``, ``close_session(prices)``, ``new_day()``,
    ``fill(ref, price, shares)``, ``correct(execution_id, price, shares)``, ``manual_trade``, ``foreign_order``, ``split``,
    ``dividend``; ``orders(ref, live=)``, ``executions``, ``positions`` by symbol, ``holdings`` by conId, ``cash``, ``nav``,
    ``clock`` or ``set_time(iso)``, ``takes`` or ``take_at_most(shares)`` (of a ticket a print fills), ``fee(shares, price)``.
``gateway.faults``
    ``add(kind, times=, skip=, ref=, code=, message=)``, ``clear()``, ``fired`` (what struck, counted); ``random_plan(seed, count)``.

    =====================  ==========================================================================================================
    cut_before_accept      the order arrives, the connection is reset, nothing was taken
    cut_after_accept       it is taken, the connection is reset before a word
    lost_order             it arrives and nothing comes of it
    lost_ack               it is taken; nothing is said of it on this connection unless asked
    held                   it is taken at ``release()``, however late (in no random plan)
    half_open              from this order on the connection stands and nobody is behind it
    error (code)           a refusal (103 110 135 200 201 321 460 504), or words about an order that lives (104 161 162 354 399
                           10147 10148), or its end (202)
    huge_frame             it is taken; a length of 2³¹-1 is said first, so the client hears nothing any more
    throttle               error 100 and the end of the connection, nothing taken
    server_lost            as it arrives, 1100: what is behind the gateway is gone until ``regain_server()``
    restart                as it arrives, the gateway restarts
    lost_cancel            a cancel arrives and nothing comes of it
    cancel_error (code)    so too, with words (135 161 10147 10148)
    mute, cut              that message is not said; the connection is reset instead of it
    duplicate, reorder     it is said twice; after the next one
    late                   it is said at ``release()``
    garble                 its second half is missing (5 = malformed openOrder)
    =====================  ==========================================================================================================
"""

from tests.gateway.faults import Fault, random_plan
from tests.gateway.server import FakeGateway

__all__ = ["FakeGateway", "Fault", "random_plan"]
