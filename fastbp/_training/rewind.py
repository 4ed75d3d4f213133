"""The state of training at the start of an epoch, to return to after a divergence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..trainer import Trainer


class Rewind:
    """The weights, the optimizer's state and the random state at the start of an epoch.

    Parameters
    ----------
    trainer : its state is stored by `keep`
    """

    def __init__(self, trainer: Trainer) -> None:
        self.state = arrays_of(trainer)
        self._kept = [np.empty_like(array) for array in self.state]

    def keep(self, epoch: int) -> None:
        """Store the current state, at the start of this epoch of a call."""
        self.epoch = epoch
        for kept, array in zip(self._kept, self.state, strict=True):
            np.copyto(kept, array)

    def back(self) -> None:
        """Restore the stored state."""
        for kept, array in zip(self._kept, self.state, strict=True):
            np.copyto(array, kept)


def arrays_of(trainer: Trainer) -> list[npt.NDArray[Any]]:
    """Return the arrays that training changes in place."""
    memory = trainer._memory
    return [trainer.network._parameters, memory.first, memory.second, memory.steps, trainer._random]


def take_over(trainer: Trainer, trained: Trainer) -> None:
    """Copy the state of a trained copy into a trainer. Its arrays stay the same, because views of them may exist."""
    for array, values in zip(arrays_of(trainer), arrays_of(trained), strict=True):
        np.copyto(array, values)
    history, told = trainer.history, trained.history
    history.clear()
    history.update(told)
    history.epochs[:], history.interrupted = told.epochs, told.interrupted
    trainer.learning_rate, trainer.batch_size = trained.learning_rate, trained.batch_size
    trainer.stop_training, trainer._states = trained.stop_training, trained._states
    trainer._names = trained._names
