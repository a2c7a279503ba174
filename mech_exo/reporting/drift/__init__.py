"""Live against backtest, in dollars: :func:`drift` plays one course after the other over what the ledger says of the booked nights.

``facts`` are what happened, ``market`` is what a replay reads, ``lines`` set an order's fate beside what the model says of it,
``course`` plays an account over the nights with some causes taken over, ``report`` makes the differences, ``values`` are what comes of it.
"""

from mech_exo.reporting.drift.report import drift

__all__ = ["drift"]
