"""The quality gate: which data can be trusted with an order, and how they are put right."""

from mech_exo.datasource.quality.gate import CHECKS, assess
from mech_exo.datasource.quality.report import QualityReport

__all__ = ["CHECKS", "QualityReport", "assess"]
