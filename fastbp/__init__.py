"""fastbp: fast training of feed-forward neural networks on the CPU.

>>> from fastbp import Trainer
>>> trainer = Trainer([64, 32, 10], loss="cross_entropy", optimizer="adam")
>>> trainer.fit(X, y, epochs=20, validation_data=(X_test, y_test), metrics=["accuracy"])
>>> trainer.predict_classes(X_test)
"""

import importlib
import sys
from typing import TYPE_CHECKING

from ._moved import MOVED, Finder

if TYPE_CHECKING:
    from . import callbacks, layers, losses, optimizers, plots, reference, schedules
    from ._records import ModelFileError
    from ._training.range_finder import RangeTest
    from .callbacks import Callback, Checkpoint, CSVLogger, EarlyStopping, ReduceLROnPlateau, TensorBoard
    from .explanation import explain
    from .history import History
    from .many import Ensemble, Outcome, Sweep, fit_many
    from .network import Network
    from .results import DivergenceError, Gradients, Summary
    from .streams import Stream
    from .trainer import Trainer
else:
    _FROM = {
        "_records": ("ModelFileError",),
        "_training.range_finder": ("RangeTest",),
        "callbacks": ("CSVLogger", "Callback", "Checkpoint", "EarlyStopping", "ReduceLROnPlateau", "TensorBoard"),
        "explanation": ("explain",),
        "history": ("History",),
        "many": ("Ensemble", "Outcome", "Sweep", "fit_many"),
        "network": ("Network",),
        "results": ("DivergenceError", "Gradients", "Summary"),
        "streams": ("Stream",),
        "trainer": ("Trainer",),
    }
    _MODULES = {"activations", "initializers", "layers", "losses", "metrics", "optimizers", "plots"}
    _MODULES |= {"reference", "schedules"}
    _MODULES |= {module for module in _FROM if not module.startswith("_")}
    _MODULES |= {name for name in MOVED if not name.startswith("_")}
    sys.meta_path.append(Finder)

    def __getattr__(name):
        """Import a name or a module when it is first used. A command such as `fastbp --help` uses none."""
        for module, names in _FROM.items():
            if name in names:
                globals()[name] = value = getattr(importlib.import_module(f".{module}", __name__), name)
                return value
        if name in _MODULES:
            return importlib.import_module(f".{name}", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


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
    "layers",
    "losses",
    "optimizers",
    "plots",
    "reference",
    "schedules",
]
