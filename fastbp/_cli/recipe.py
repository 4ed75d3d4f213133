"""The network and the training that `fastbp train` uses for the options that you leave out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..optimizers import AdamW

LARGE = 10_000  # rows from which a larger network pays


@dataclass(frozen=True)
class Recipe:
    """Options of a network and of its training, under the names of Trainer's arguments.

    Attributes
    ----------
    hidden : sizes of the hidden layers
    epochs : the most epochs
    patience : epochs without improvement of the validation loss after which training stops
    weight_decay : of the optimizer, if it is the default one
    activation, initializer, learning_rate, batch_size, dropout, l2, schedule : as in `Trainer`
    """

    hidden: tuple[int, ...]
    activation: str = "tanh"
    initializer: str = "lecun"
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    batch_size: int = 64
    epochs: int = 200
    patience: int = 20
    dropout: float = 0.1
    l2: float = 0.0
    schedule: str | None = None

    def options(self) -> dict[str, Any]:
        """Return the arguments of Trainer, without layer_sizes and loss, that the recipe decides."""
        options = asdict(self)
        for name in ("hidden", "epochs", "patience", "weight_decay"):
            del options[name]
        return options | {"optimizer": AdamW(weight_decay=self.weight_decay)}


def recipe(n_rows: int) -> Recipe:
    """Return the defaults for a table.

    Parameters
    ----------
    n_rows : int
        Number of rows to train on.
    """
    if n_rows < LARGE:
        return Recipe((64, 64))
    return Recipe((128, 128), batch_size=256, epochs=60, patience=8)
