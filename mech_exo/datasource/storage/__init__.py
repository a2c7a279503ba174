"""The market-data store: DuckDB, two clocks on every fact, one writer, published as read-only snapshots.

All SQL of the store lives in this package and in ``schema.sql``.
"""

from mech_exo.datasource.storage.difference import Change, Difference
from mech_exo.datasource.storage.publish import SnapshotRef
from mech_exo.datasource.storage.store import DataStorage
from mech_exo.datasource.storage.summary import FactSummary, ImportSummary, Status
from mech_exo.datasource.storage.view import StoreView

__all__ = ["Change", "DataStorage", "Difference", "FactSummary", "ImportSummary", "SnapshotRef", "Status", "StoreView"]
