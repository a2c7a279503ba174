"""One evening's night that dies at a named point: `python evening_child.py HOME POINT COUNT NOW`."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mech_exo.datasource.quality as gate
import mech_exo.datasource.update as downloads
from mech_exo import nightly, session
from mech_exo.datasource.storage import DataStorage
from mech_exo.datasource.storage.quality import QualityTables
from mech_exo.execution.ledger import Ledger
from mech_exo.execution.paper import PaperBroker
from tests.faults import night_child

night_child.POINTS |= {
    "update": (downloads, "update"),
    "store": (DataStorage, "store_ohlc_data"),
    "note": (DataStorage, "note_downloads"),
    "assess": (gate, "assess"),
    "record": (QualityTables, "record"),
    "publish": (DataStorage, "publish"),
    "decide": (session, "decide_night"),
    "plan": (Ledger, "plan"),
    "submit": (session, "submit_night"),
    "place": (PaperBroker, "place"),
    "report": (nightly.steps, "write_reports"),
    "alert": (Ledger, "post_alert"),
}

if __name__ == "__main__":
    night_child.arm(sys.argv[2], int(sys.argv[3]))
    nightly.perform(nightly.Evening(Path(sys.argv[1]), datetime.fromisoformat(sys.argv[4])))
