"""The notebooks run from the first cell to the last, and are kept without what they put out."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from .pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
RUN = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=100, startup_timeout=200, resources={"metadata": {"path": sys.argv[2]}}).execute()
"""


@pytest.mark.timeout(300)  # a kernel may take its time to begin
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    """In a process of its own, as what drives kernels would be there for all tests that come after."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["digits", "paths", "thousand"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs(path):
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")
