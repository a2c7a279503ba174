"""The notebook's cells run, on the sample market, from any folder of the repository."""

from __future__ import annotations

import nbformat


def test_every_cell_runs(repository, workspace, monkeypatch):
    notebook = nbformat.read(repository / "notebooks" / "scoring_exploration.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    monkeypatch.chdir(repository / "notebooks")
    monkeypatch.setenv("EXO_HOME", str(workspace))
    names: dict[str, object] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "scoring_exploration.ipynb", "exec"), names)
    assert names["ranking"].frame.height > 10
    assert any("synthetic sample" in warning for warning in names["ranking"].warnings)
    assert len(names["figure"].data) == 3
