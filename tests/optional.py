"""Packages that may be missing, and that take seconds to import: a test imports them when it uses them."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest


class Package:
    """Stands for a module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest looks for marks of its own in every global name
            raise AttributeError(name)
        return getattr(importlib.import_module(self._name), name)


def needs(package: str, title: str) -> pytest.MarkDecorator:
    """Skip tests where the package is missing."""
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{title} is not installed")
