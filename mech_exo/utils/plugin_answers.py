"""What a rule of a plug-in answers: arrays, held to type, shape and sign before anything is decided with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mech_exo.domain.errors import PluginError
from mech_exo.utils.plugin_files import OUT, guarded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mech_exo.utils.plugin_settings import Plugin


def shares_of(plugin: Plugin, rule: str, wanted: str, count: int, call: Callable[[], object]) -> NDArray[np.float64]:
    """``(count,)`` shares ≥ 0, NaN unknown, that ``call`` answers.

    Raises PluginError where it fails or answers otherwise, naming the ``rule`` (``limit quiet``) and what is ``wanted`` of it.
    """
    with np.errstate(all="ignore"):  # NaN is an answer
        found = guarded(plugin, f"{rule} failed", call)
    if not isinstance(found, np.ndarray) or found.dtype != np.float64 or found.shape != (count,) or (found < 0.0).any():
        raise PluginError(
            f"{plugin.spec}: {rule} must give {wanted}, float64 ({count},), at least 0 or NaN; got {_told(found)}",
            remedy=f"correct {plugin.spec}, {OUT}",
        )
    return found


def _told(found: object) -> str:
    if isinstance(found, np.ndarray) and found.dtype.kind in "fiu" and found.size:
        return f"{found.dtype} {found.shape}, least {np.nanmin(found):g}"
    return type(found).__name__
