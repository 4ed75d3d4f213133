"""The documentation keeps to the code."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import fastbp
from fastbp import interop

ROOT = Path(__file__).parent.parent
API = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "docs" / "api").glob("*.md")))
DOCUMENTED = re.findall(r"^::: ([\w.]+)$", API, re.M)
NOT_PUBLIC = {  # what only other modules call, in modules that have public names
    *("loss_of", "output_activation", "encode", "optimizer", "schedule"),
    *("as_callbacks", "direction", "require_matplotlib", "save"),
}


def named(path: str) -> Any:
    """The object that a path such as fastbp.plots.network leads to."""
    parts = path.split(".")
    for n in range(len(parts), 0, -1):
        try:
            item = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for name in parts[n:]:
            item = getattr(item, name)
        return item
    raise AssertionError(path)


def public() -> list[str]:
    """fastbp.__all__, of its modules what they define, and __all__ of the two that are imported by themselves."""
    names = []
    for name in fastbp.__all__:
        item = getattr(fastbp, name)
        if not isinstance(item, ModuleType):
            names.append(f"fastbp.{name}")
            continue
        for inner, value in vars(item).items():
            own = getattr(value, "__module__", None) == item.__name__ and (inspect.isclass(value) or callable(value))
            if own and not inner.startswith("_") and inner not in NOT_PUBLIC:
                names.append(f"fastbp.{name}.{inner}")
    names += [f"fastbp.interop.{name}" for name in interop.__all__]
    return names + [f"fastbp.sklearn.{name}" for name in importlib.import_module("fastbp.sklearn").__all__]


@pytest.mark.parametrize("name", public())
def test_every_public_name_is_on_a_page_of_the_api(name):
    module = name.rpartition(".")[0]
    if name in DOCUMENTED or (module != "fastbp" and module in DOCUMENTED):
        return
    assert any(named(other) is named(name) for other in DOCUMENTED if other.endswith(name.rpartition(".")[2])), name


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_the_api_documents_is_there(name):
    if name.startswith("fastbp.interop.") and not name.endswith(("to_onnx", "safetensors")):
        assert name.rpartition(".")[2] in interop.__all__  # its library may be missing
    else:
        assert inspect.getdoc(named(name))
