"""The notebooks are kept with the outputs of one run. `make notebooks` runs them anew."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .notebooks import NOTEBOOKS

LARGEST = 100_000  # bytes of a notebook with its pictures


def code(path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["digits", "paths", "thousand"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_as_one_run_wrote_it(path):
    cells = code(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"display_data", "execute_result", "stream"}
    assert all(output["name"] == "stdout" for output in outputs if output["output_type"] == "stream")
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_small_and_says_nothing_of_the_machine(path):
    text = path.read_text("utf-8")
    assert len(text.encode()) < LARGEST
    for of_a_machine in ("/home/", "/root/", "/tmp/", "/Users/", "C:\\\\", "site-packages"):
        assert of_a_machine not in text
