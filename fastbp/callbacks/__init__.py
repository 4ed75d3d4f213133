"""Callbacks: stop early, lower the learning rate, save the best network, write logs."""

from ._base import Callback, FunctionCallback, as_callbacks
from ._checkpoint import Checkpoint
from ._logs import CSVLogger, TensorBoard
from ._plateau import EarlyStopping, ReduceLROnPlateau
from ._watch import Watch, direction

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "FunctionCallback",
    "ReduceLROnPlateau",
    "TensorBoard",
    "Watch",
    "as_callbacks",
    "direction",
]
