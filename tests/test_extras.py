"""Errors for optional packages that are not installed."""

from __future__ import annotations

import re
from pathlib import Path

from fastbp._extras import not_installed

ROOT = Path(__file__).parent.parent


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_error_names_the_extra_and_what_else_to_install():
    assert str(not_installed("plots need matplotlib", "plot")) == "plots need matplotlib: pip install 'fastbp[plot]'"
    assert str(not_installed("x needs y", "z", ", and w")) == "x needs y: pip install 'fastbp[z]', and w"


def test_every_error_names_an_extra_that_exists():
    optional = read(ROOT / "pyproject.toml").split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = re.findall(r"^(\w+) = ", optional, re.MULTILINE)
    sources = [read(path) for path in (ROOT / "fastbp").rglob("*.py") if path.name != "_extras.py"]
    named = [name for text in sources for name in re.findall(r'\(\s*f?"[^"]* needs? [^"]*",\s*"(\w+)"', text)]
    assert len(named) > 15
    assert set(named) <= set(extras)
    assert not any("pip install" in text for text in sources)
