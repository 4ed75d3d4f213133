"""The names of fastbp.interop, and its errors if a library isn't installed."""

from __future__ import annotations

import sys

import pytest

from fastbp import interop

HOMES = {"to_torch": "torch", "to_keras": "keras", "to_onnx": "onnx", "save_safetensors": "safetensors"}


@pytest.mark.parametrize(("function", "package"), HOMES.items())
def test_a_missing_package_is_named_with_its_extra(function, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"fastbp.interop.{package}", raising=False)
    with pytest.raises(ImportError, match=rf"fastbp.interop.{package} needs .*pip install 'fastbp\[{package}\]'"):
        getattr(interop, function)


def test_names():
    assert set(interop.__all__) <= set(dir(interop))
    with pytest.raises(AttributeError, match="no attribute 'from_onnx'"):
        _ = interop.from_onnx
