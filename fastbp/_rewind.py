"""The way back from a divergence: where training was at the start of an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from .trainer import Trainer


class Rewind:
    """What a trainer's weights, its optimizer and its random numbers were at the start of an epoch.

    Parameters
    ----------
    trainer : whose state is kept, once `keep` says so
    """

    def __init__(self, trainer: Trainer) -> None:
        memory = trainer._memory
        self.state: list[npt.NDArray[Any]] = [
            trainer.network._parameters,
            memory.first,
            memory.second,
            memory.steps,
            trainer._random,
        ]
        self._kept = [np.empty_like(array) for array in self.state]

    def keep(self, epoch: int) -> None:
        """Take the state as it is now, at the start of that epoch of a call."""
        self.epoch = epoch
        for kept, array in zip(self._kept, self.state, strict=True):
            np.copyto(kept, array)

    def back(self) -> None:
        """Make the state what it was."""
        for kept, array in zip(self._kept, self.state, strict=True):
            np.copyto(array, kept)
