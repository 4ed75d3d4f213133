"""The same work in other libraries, written as an expert in each would, each behind one function.

`TRAINING` maps a name to ``train(workload, X, y, threads)``, which returns a `Training`. All do the same work: the
workload's activations, J = 1/(2m) Σ (y − aᴸ)² for each batch, its optimizer, samples in order, the same initial
weights, and float32 or float64 like X. `PREDICTION` maps a name to ``predict(workload, threads, dtype)``, which returns
a function from X to aᴸ, both NumPy arrays, of a network with sigmoid in every layer. tests/test_bench.py compares the
results. Each peer's library is imported when it is first used.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from . import _fann, _fastbp, _jax, _numpy, _onnxruntime, _sklearn, _torch
from .workloads import Predict, Training, Workload

TRAINING: dict[str, Callable[..., Training]] = {
    "fastbp": _fastbp.train,
    "JAX scan": _jax.train,
    "PyTorch eager": _torch.train_eager,
    "torch.compile": _torch.train_compiled,
    "scikit-learn": _sklearn.train,
    "NumPy": _numpy.train,
    "FANN": _fann.train,
}
PREDICTION: dict[str, Callable[..., Predict]] = {
    "fastbp": _fastbp.predict,
    "onnxruntime": _onnxruntime.predict,
    "PyTorch eager": _torch.predict,
    "scikit-learn": _sklearn.predict,
    "NumPy": _numpy.predict,
}
PACKAGES = {
    "fastbp": ("fastbp",),
    "NumPy": ("numpy",),
    "JAX scan": ("jax",),
    "PyTorch eager": ("torch",),
    "torch.compile": ("torch",),
    "scikit-learn": ("sklearn",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "FANN": (),
}
LOOPS = ("PyTorch eager", "torch.compile", "scikit-learn", "NumPy")  # a batch takes as long in a short epoch
# Environment variables with which a peer also runs. The fastest of its processes counts.
SETTINGS: dict[str, tuple[dict[str, str], ...]] = {
    "JAX scan": ({}, {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}),
}


def missing(peer: str) -> list[str]:
    """Return the packages that a peer needs and that aren't installed."""
    if peer == "FANN" and not _fann.is_installed():
        return ["libfann2, a package of the system"]
    return [package for package in PACKAGES[peer] if importlib.util.find_spec(package) is None]


def can(peer: str, work: Workload) -> bool:
    """Return whether a peer can do the work of a workload."""
    if work.kind == "prediction":
        return peer in PREDICTION
    if peer == "FANN":
        return work.kind == "training" and work.rows == 1 and (work.activation, work.optimizer) == ("sigmoid", "sgd")
    if peer == "scikit-learn":
        return work.activation in _sklearn.ACTIVATIONS and work.optimizer in _sklearn.SOLVERS
    return peer in TRAINING
