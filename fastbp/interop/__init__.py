"""Conversion of networks to and from PyTorch, Keras, ONNX and safetensors: docs/interchange.md.

Each library has its own module here, which is imported when you first use one of its functions.

>>> from fastbp.interop import from_torch, to_onnx
>>> trainer = from_torch(module, loss="cross_entropy", optimizer="adam")
>>> trainer.fit(X, y, epochs=20)
>>> to_onnx(trainer, "model.onnx")
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .keras import from_keras, to_keras
    from .onnx import to_onnx
    from .safetensors import load_safetensors, save_safetensors
    from .torch import from_torch, to_torch
else:
    from importlib import import_module

    _HOMES = {
        "from_keras": "keras",
        "from_torch": "torch",
        "load_safetensors": "safetensors",
        "save_safetensors": "safetensors",
        "to_keras": "keras",
        "to_onnx": "onnx",
        "to_torch": "torch",
    }

    def __getattr__(name):
        """Import the module of a function, or one of the modules."""
        if name in _HOMES:
            return getattr(import_module(f".{_HOMES[name]}", __name__), name)
        if name in _HOMES.values():
            return import_module(f".{name}", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        """List all names, imported or not."""
        return sorted({*globals(), *_HOMES, *_HOMES.values()})


__all__ = [
    "from_keras",
    "from_torch",
    "load_safetensors",
    "save_safetensors",
    "to_keras",
    "to_onnx",
    "to_torch",
]
