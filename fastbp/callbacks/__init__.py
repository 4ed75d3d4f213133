"""Callbacks: stop early, lower the learning rate, save the best network, write logs."""

from ._callbacks import Checkpoint, CSVLogger, EarlyStopping, ReduceLROnPlateau, TensorBoard
from ._watch import Callback, FunctionCallback, Watch, as_callbacks, direction

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
