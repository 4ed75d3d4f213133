"""The names of fastbp.interop, and its errors if a library isn't installed."""

from __future__ import annotations

import importlib
import sys

import pytest

from fastbp import Trainer, interop

from ..cases import KERAS_BACKEND

HOMES = {"to_torch": "torch", "to_keras": "keras", "to_onnx": "onnx", "save_safetensors": "safetensors"}


@pytest.mark.parametrize(("function", "package"), HOMES.items())
def test_a_missing_package_is_named_with_its_extra(function, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"fastbp.interop.{package}", raising=False)
    with pytest.raises(ImportError, match=rf"fastbp.interop.{package} needs .*pip install 'fastbp\[{package}\]'"):
        getattr(interop, function)


@pytest.mark.parametrize(
    ("package", "table", "function"),
    [("torch", "MODULES", "to_torch"), ("keras", "ENDS", "to_keras"), ("onnx", "COMPOSED", "to_onnx")],
)
def test_an_activation_that_the_library_lacks_is_refused(package, table, function, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", KERAS_BACKEND)
    pytest.importorskip(package, reason=f"{package} is not installed")
    module = importlib.import_module(f"fastbp.interop.{package}")
    monkeypatch.delitem(getattr(module, table), "mish")
    with pytest.raises(ValueError, match=r"trainer: expected activations among .*, got 'mish'"):
        getattr(module, function)(Trainer([3, 4, 2], activation="mish"))


def test_names():
    assert set(interop.__all__) <= set(dir(interop))
    with pytest.raises(AttributeError, match="no attribute 'from_onnx'"):
        _ = interop.from_onnx
