"""The quality gate: which data can be trusted with an order, and how they are put right."""

from mech_exo.datasource.quality.gate import CHECKS, NAMES, assess
from mech_exo.datasource.quality.report import QualityReport, report

__all__ = ["CHECKS", "NAMES", "QualityReport", "assess", "report"]
