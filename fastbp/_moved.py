"""Modules that pickles of earlier versions name, and where their classes are now."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {  # the old name, below fastbp, and the new one
    "_arrow_files": "streams._arrow",
    "_chains": "explanation._chains",
    "_columns": "_files.columns",
    "_fits": "many._fits",
    "_model_file": "_records",
    "_range_test": "_training.range_finder",
    "_watch": "callbacks",
    "ensemble": "many.ensemble",
    "sweep": "many.sweep",
}
RENAMED = {  # classes of these modules that have another name now, and where they are
    "_chains": {"Layer": ("explanation._records", "LayerValues"), "Path": ("explanation._chains", "WeightPath")},
}


class Finder:
    """Finds an old name, as a module with all that the new one has. Python asks only if no file has the name."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, module = name.partition(".")
        return ModuleSpec(name, Finder) if package == __package__ and module in MOVED else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType | None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        package, _, name = module.__name__.partition(".")
        now = importlib.import_module(f"{package}.{MOVED[name]}")
        vars(module).update((name, value) for name, value in vars(now).items() if not name.startswith("__"))
        for old, (place, new) in RENAMED.get(name, {}).items():
            setattr(module, old, getattr(importlib.import_module(f"{package}.{place}"), new))
