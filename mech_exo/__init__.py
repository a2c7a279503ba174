"""Mech-Exo: a systematic equity trading system that one person can trust with money.

The rooms, from the inside out: ``domain`` (nouns), ``kernels`` (compiled arithmetic), ``utils``; then
``datasource``, ``scoring``, ``sizing``, ``risk``, ``execution`` and ``performance``; ``decision`` composes
them; ``session`` (one night) and ``backtest`` (history) drive the very same decision; ``assembly`` wires
storage, strategy and broker; ``reporting`` and ``cli`` show it. Nothing is imported here, so that
``exo --help`` stays instant.
"""


def __getattr__(name: str) -> str:
    """``__version__`` as installed: from the tags of git by way of the package's metadata, never a file of sources, whose hash
    (``mech_exo.kernels.code_version``) stands on every decision and must be the same in a checkout, a wheel and an sdist."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mech-exo")
    except PackageNotFoundError:
        return "unknown, for it is not installed"
