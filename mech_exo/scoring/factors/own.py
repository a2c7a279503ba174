"""Factors of the user's plug-ins beside the program's own: found by name, checked by the laws before anything is scored with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mech_exo.domain.errors import PluginError
from mech_exo.kernels import cache_folder, code_version
from mech_exo.scoring.factors.base import Factor, Floats, Ints, Params
from mech_exo.scoring.inputs import FactorInputs
from mech_exo.utils.plugin_files import OUT, Part, guarded, parts
from mech_exo.utils.plugin_settings import Plugin, Plugins
from mech_exo.utils.plugin_verdicts import Verdicts, judged, require


def declared(plugins: Plugins, own: Mapping[str, Factor]) -> dict[str, Part[Factor]]:
    """The program's ``own`` factors and those of ``plugins``, by name, not checked yet. Raises PluginError."""
    found = parts(plugins, Factor, own)
    return {name: part if part.plugin is None else Part(_answering(part.what, part.plugin), part.plugin) for name, part in found.items()}


def verdicts(part: Part[Factor]) -> Verdicts:
    """What the laws say of a factor of a plug-in, from the cache where its source and the program are unchanged."""
    from mech_exo.scoring.factors.laws import factor_verdicts

    return judged("factor", part, code_version(), cache_folder(), lambda: factor_verdicts(part.what))


def checked(plugins: Plugins, own: Mapping[str, Factor]) -> Mapping[str, Part[Factor]]:
    """:func:`declared`, every one of a plug-in obeying the laws. Raises PluginError for the first that does not."""
    found = declared(plugins, own)
    for part in found.values():
        if part.plugin is not None:
            require("factor", part, verdicts(part))
    return found


def _answering(factor: Factor, plugin: Plugin) -> Factor:
    """``factor`` whose failures are told by the author's line, and whose answer is what was asked for."""
    compute, what = factor.compute, f"factor {factor.name} failed"

    def answered(inputs: FactorInputs, rows: Ints, params: Params) -> Floats:
        with np.errstate(all="ignore"):  # NaN is an answer
            values = guarded(plugin, what, lambda: compute(inputs, rows, params))
        wanted = (len(rows), inputs.panel.shape[1])
        if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.shape != wanted:
            told = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
            raise PluginError(
                f"{plugin.spec}: factor {factor.name} must give float64 {wanted}, a row for each of rows and a column for each symbol; "
                f"it gives {told}",
                remedy=f"correct {plugin.spec}, {OUT}",
            )
        return values

    answered.__doc__ = compute.__doc__
    return replace(factor, compute=answered)
