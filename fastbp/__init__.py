"""fastbp: train feed-forward neural networks with backpropagation, fast, on the CPU.

>>> from fastbp import Trainer
>>> trainer = Trainer([64, 32, 10], loss="cross_entropy", optimizer="adam")
>>> trainer.fit(X, y, epochs=20, validation_data=(X_test, y_test), metrics=["accuracy"])
>>> trainer.predict_classes(X_test)
"""

from . import callbacks, losses, optimizers, reference, schedules
from ._model_file import ModelFileError
from .callbacks import Callback, Checkpoint, CSVLogger, EarlyStopping, ReduceLROnPlateau, TensorBoard
from .history import History
from .network import Network
from .results import DivergenceError, Gradients, Summary
from .trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "DivergenceError",
    "EarlyStopping",
    "Gradients",
    "History",
    "ModelFileError",
    "Network",
    "ReduceLROnPlateau",
    "Summary",
    "TensorBoard",
    "Trainer",
    "callbacks",
    "losses",
    "optimizers",
    "reference",
    "schedules",
]
