"""Folders that appear whole or not at all, also where several threads of one process want the same one."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mech_exo.utils.durable import new_folder


def test_of_many_threads_one_makes_the_folder_and_none_harms_it(tmp_path: Path) -> None:
    target, all_inside = tmp_path / "run", threading.Barrier(6)

    def make(number: int) -> bool:
        try:
            with new_folder(target) as place:
                all_inside.wait(30)
                (place / "who").write_text(str(number))
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(make, range(6)))
    assert made.count(True) == 1
    assert (target / "who").read_text() == str(made.index(True))
    assert os.listdir(tmp_path) == ["run"]


def test_what_a_killed_process_of_the_same_id_left_is_no_hindrance(tmp_path: Path) -> None:
    """In a container every process may have the same id."""
    (tmp_path / f".run.{os.getpid()}.partial").mkdir()
    with new_folder(tmp_path / "run") as place:
        (place / "file").write_text("x")
    assert (tmp_path / "run" / "file").read_text() == "x"
