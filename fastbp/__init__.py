"""fastbp: train feed-forward neural networks with backpropagation, fast, on the CPU.

>>> from fastbp import Trainer
>>> trainer = Trainer([64, 32, 10], loss="cross_entropy", optimizer="adam")
>>> trainer.fit(X, y, epochs=20, validation_data=(X_test, y_test), metrics=["accuracy"])
>>> trainer.predict_classes(X_test)
"""

import importlib
from typing import TYPE_CHECKING

from . import callbacks, losses, optimizers, plots, reference, schedules
from ._model_file import ModelFileError
from ._range_test import RangeTest
from .callbacks import Callback, Checkpoint, CSVLogger, EarlyStopping, ReduceLROnPlateau, TensorBoard
from .history import History
from .network import Network
from .results import DivergenceError, Gradients, Summary
from .streams import Stream
from .trainer import Trainer

if TYPE_CHECKING:
    from ._fits import Outcome
    from .ensemble import Ensemble
    from .explanation import explain
    from .many import fit_many
    from .sweep import Sweep
else:
    _LATER = {
        "Ensemble": "ensemble",
        "Outcome": "_fits",
        "Sweep": "sweep",
        "explain": "explanation",
        "fit_many": "many",
    }

    def __getattr__(name):
        """Import what training does without when it is asked for."""
        if name in _LATER:
            return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "DivergenceError",
    "EarlyStopping",
    "Ensemble",
    "Gradients",
    "History",
    "ModelFileError",
    "Network",
    "Outcome",
    "RangeTest",
    "ReduceLROnPlateau",
    "Stream",
    "Summary",
    "Sweep",
    "TensorBoard",
    "Trainer",
    "callbacks",
    "explain",
    "fit_many",
    "losses",
    "optimizers",
    "plots",
    "reference",
    "schedules",
]
