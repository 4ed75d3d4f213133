"""What every member of an ensemble has."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..tables import RawColumns

Array = np.ndarray[Any, np.dtype[Any]]


class Member(Protocol):
    """A model, or one for each fold, whose predictions can be weighted together with others'.

    Attributes
    ----------
    name : what people call it
    family : "constant", "linear", "network" or "estimator"
    oof : (n, k) or (n,), out-of-fold predictions of the training rows
    loss : of these
    seconds : processor time of its training
    """

    name: str
    oof: Array
    loss: float
    seconds: float

    @property
    def family(self) -> str:
        """What kind of member it is."""
        ...

    def spread(self, rows: RawColumns) -> Array:
        """Return the predictions of each fold's model, (f, m, k) or (f, m)."""
        ...

    def predict(self, rows: RawColumns) -> Array:
        """Return the mean of the models' predictions, (m, k) or (m,)."""
        ...
