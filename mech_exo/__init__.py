"""Mech-Exo: a systematic equity trading system that one person can trust with money.

The rooms, from the inside out: ``domain`` (nouns), ``kernels`` (compiled arithmetic), ``utils``; then
``datasource``, ``scoring``, ``sizing``, ``risk``, ``execution`` and ``performance``; ``decision`` composes
them; ``session`` (one night) and ``backtest`` (history) drive the very same decision; ``assembly`` wires
storage, strategy and broker; ``reporting`` and ``cli`` show it. Nothing is imported here, so that
``exo --help`` stays instant.
"""

__version__ = "0.1.0"
