"""fastbp: train feed-forward neural networks with backpropagation, fast, on the CPU.

>>> from fastbp import Trainer
>>> trainer = Trainer([64, 32, 10], loss="cross_entropy")
>>> trainer.fit(X, y, epochs=20, validation_data=(X_test, y_test), metrics=["accuracy"])
>>> trainer.predict_classes(X_test)
"""

from . import reference
from .callbacks import Callback
from .history import History
from .network import Network
from .results import DivergenceError, Gradients, Summary
from .trainer import Trainer

__version__ = "0.1.0"

__all__ = ["Callback", "DivergenceError", "Gradients", "History", "Network", "Summary", "Trainer", "reference"]
