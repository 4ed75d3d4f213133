"""Commands of `fastbp`, run in this process."""

from __future__ import annotations

import json
from typing import Any

from fastbp.__main__ import main


def run(command: str) -> int:
    """Run a command whose words have no spaces, and return its exit code."""
    return main(command.split())


def said(capsys) -> dict[str, Any]:
    """Return the JSON object that a command printed, and nothing else."""
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    return json.loads(out)
