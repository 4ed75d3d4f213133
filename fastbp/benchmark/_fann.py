"""The work in FANN, a C library, for batches of one sample: what FANN calls incremental training.

It needs the system's libfann 2 (Debian: libfann2), which Python calls through ctypes.
"""

from __future__ import annotations

import ctypes
from ctypes.util import find_library
from itertools import pairwise
from typing import Any

import numpy as np

from .workloads import EPOCHS, ETA, Array, Arrays, Training, Workload, parameters

LIBRARIES = {"float32": "floatfann", "float64": "doublefann"}
INCREMENTAL, LINEAR_ERROR, SIGMOID = 0, 0, 3  # of FANN's enumerations
STEEPNESS = 0.5  # FANN's sigmoid is 1 / (1 + e^(−2 s z))


def is_installed() -> bool:
    """Return whether the system has the library."""
    return all(map(find_library, LIBRARIES.values()))


def _library(dtype: str) -> tuple[Any, Any]:
    """Return the library for a dtype, and the C type of its numbers."""
    fann, number = ctypes.CDLL(find_library(LIBRARIES[dtype])), {4: ctypes.c_float, 8: ctypes.c_double}
    kind = number[np.dtype(dtype).itemsize]
    pointer = ctypes.c_void_p
    for name in ("create_standard_array", "create_train_from_callback"):
        getattr(fann, f"fann_{name}").restype = pointer
    fann.fann_train_epoch.argtypes, fann.fann_train_epoch.restype = (pointer, pointer), ctypes.c_float
    fann.fann_set_learning_rate.argtypes = pointer, ctypes.c_float
    for name in ("hidden", "output"):
        getattr(fann, f"fann_set_activation_steepness_{name}").argtypes = pointer, kind
        getattr(fann, f"fann_set_activation_function_{name}").argtypes = pointer, ctypes.c_int
    for name in ("training_algorithm", "train_error_function"):
        getattr(fann, f"fann_set_{name}").argtypes = pointer, ctypes.c_int
    return fann, kind


def _samples(fann: Any, kind: Any, X: Array, y: Array) -> ctypes.c_void_p:
    """Return FANN's copy of the samples."""
    run = ctypes.POINTER(kind)

    def copy(row: int, n_inputs: int, n_outputs: int, inputs: Any, outputs: Any) -> None:
        ctypes.memmove(inputs, X[row].ctypes.data, X[row].nbytes)
        ctypes.memmove(outputs, y[row].ctypes.data, y[row].nbytes)

    callback = ctypes.CFUNCTYPE(None, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, run, run)(copy)
    return ctypes.c_void_p(fann.fann_create_train_from_callback(len(X), X.shape[1], y.shape[1], callback))


def train(work: Workload, X: Array, y: Array, threads: int) -> Training:
    """Train with `fann_train_epoch`, which updates after each sample."""
    fann, number = _library(X.dtype.name)
    sizes: tuple[int, ...] = work.sizes
    network = ctypes.c_void_p(fann.fann_create_standard_array(len(sizes), (ctypes.c_uint * len(sizes))(*sizes)))
    for name in ("hidden", "output"):
        getattr(fann, f"fann_set_activation_function_{name}")(network, SIGMOID)
        getattr(fann, f"fann_set_activation_steepness_{name}")(network, STEEPNESS)
    fann.fann_set_training_algorithm(network, INCREMENTAL)
    fann.fann_set_train_error_function(network, LINEAR_ERROR)
    fann.fann_set_learning_rate(network, ETA)

    class Connection(ctypes.Structure):
        _fields_ = (("start", ctypes.c_uint), ("end", ctypes.c_uint), ("weight", number))

    connections = (Connection * fann.fann_get_total_connections(network))()  # by their ends, in layers with a bias each
    weights = parameters(sizes, X.dtype)
    fann.fann_get_connection_array(network, connections)
    # A unit's weights, then its bias, are next to each other; units are in order
    flat = np.concatenate([np.column_stack([w, b]).ravel() for w, b in zip(*weights, strict=True)])
    for connection, value in zip(connections, flat, strict=True):
        connection.weight = value
    fann.fann_set_weight_array(network, connections, len(connections))
    data = _samples(fann, number, X, y)

    def run() -> Any:
        for _ in range(EPOCHS):
            fann.fann_train_epoch(network, data)

    def now() -> tuple[Arrays, Arrays]:
        fann.fann_get_connection_array(network, connections)
        values, place, found = np.array([c.weight for c in connections], X.dtype), 0, ([], [])  # type: ignore[var-annotated]
        for n, n_next in pairwise(sizes):
            both = values[place : place + (n + 1) * n_next].reshape(n_next, n + 1)
            found[0].append(both[:, :-1])
            found[1].append(both[:, -1])
            place += both.size
        return found

    return Training(run, now)
