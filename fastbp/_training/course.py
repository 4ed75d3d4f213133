"""Course: the training of one network with a validation after each epoch, all of it in kernel calls."""

from __future__ import annotations

import math
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from .._engine.layout import aligned_zeros
from .._kernels import codes
from .._library.library import is_finite
from .state import Rewind, State
from .steps import CHUNK_SECONDS, first_budget, step_of, with_factors

Array = npt.NDArray[Any]

FOR_EVER = np.iinfo(np.int64).max  # a patience


class Course:
    """Some epochs of training. After each, a kernel measures the validation loss and may end the training.

    Several courses may share X, of which each `codes.Data` chooses rows: ``engine.data(X, y, rows=…, shuffle=True)``.
    Several threads may advance one course each.

    Parameters
    ----------
    state : the state of a trainer, which the course changes
    data : the training samples
    validation : the samples whose J, without penalties, decides which epoch is the best
    epochs : the most epochs
    patience : number of epochs in a row without improvement after which training ends; None to train all epochs
    min_delta : how much less than the least loss a loss must be to count as an improvement
    rates : η of each batch of all epochs, (epochs · batches,), or (1,); the trainer's learning rate by default
    factors : of the weight decay and of the dropout of each batch, likewise, if there are schedules of them
    best, waited : the least loss before the first epoch, and the number of epochs since then
    stores : whether the weights of the best epoch are stored
    n_threads : as in `Trainer`; it may change between two calls

    Attributes
    ----------
    finished : whether the course has ended
    stopped_early : whether the patience ended it
    bad : what became NaN or infinite in the epoch that ended it, and the value; otherwise None. The network and the
        optimizer then return to their state before that epoch.
    """

    def __init__(
        self,
        state: State,
        data: codes.Data,
        validation: codes.Data,
        *,
        epochs: int,
        patience: int | None = None,
        min_delta: float = 0.0,
        rates: Array | None = None,
        factors: tuple[Array, Array] | None = None,
        best: float = math.inf,
        waited: int = 0,
        stores: bool = True,
        n_threads: int | str = 1,
    ) -> None:
        self.state, self.data, self.epochs, self.n_threads = state, data, epochs, n_threads
        state.begin(data)
        batch_size, parameters = min(state.batch_size, data.n), state.network._parameters
        rates = np.array([state.learning_rate]) if rates is None else np.ascontiguousarray(rates, np.float64)
        self._step = step_of(state, batch_size, rates)
        self._with_factors = with_factors(self._step, factors)
        self._at = codes.Progress(np.zeros(2, np.int64), state.random, np.zeros(epochs))
        self._rewind = Rewind(state)
        self._rewind.keep(0)
        self._watch = codes.Watch(
            validation,
            weight=np.array([validation.weight]),
            losses=np.zeros(epochs),
            best=np.array([best]),
            counts=np.array([-1, waited, codes.GOES_ON]),
            patience=FOR_EVER if patience is None else patience,
            min_delta=min_delta,
            parameters=aligned_zeros(parameters.size if stores else 0, parameters.dtype),
            start=self._rewind.start,
        )
        self._budget = first_budget(state, self._step.block)
        self.finished, self.bad = epochs == 0, None

    finished: bool
    bad: tuple[str, float] | None

    @property
    def epochs_done(self) -> int:
        """Number of finished epochs."""
        return int(self._at.position[codes.EPOCH])

    @property
    def progress(self) -> float:
        """Number of finished epochs, with a fraction."""
        epoch, sample = self._at.position.tolist()
        return float(epoch + sample / self.data.n)

    @property
    def losses(self) -> Array:
        """The mean loss of each finished epoch."""
        return self._at.losses[: self.epochs_done]

    @property
    def val_losses(self) -> Array:
        """The validation loss after each finished epoch."""
        return self._watch.losses[: self.epochs_done]

    @property
    def best_epoch(self) -> int:
        """Index of the epoch with the least validation loss, or −1 if there is none."""
        return int(self._watch.counts[codes.BEST_EPOCH])

    @property
    def best_parameters(self) -> Array:
        """The parameters after the best epoch, in the network's layout, if they are stored and there is one."""
        return self._watch.parameters

    @property
    def stopped_early(self) -> bool:
        """Whether the patience ended the training."""
        return bool(self._watch.counts[codes.ENDED] == codes.STOPPED)

    @property
    def diverged(self) -> bool:
        """Whether a loss or a weight that became NaN or infinite ended the training."""
        return self.bad is not None

    def advance(self, seconds: float) -> bool:
        """Train for about so long, in kernel calls of about a tenth of a second. Return whether the course has ended.

        At its end, the network has the weights of the best epoch if these are stored.
        """
        end = perf_counter() + seconds
        with self.state.engine.exclusively():
            while not self.finished and (left := end - perf_counter()) > 0:
                self.call(left)
            if self.finished:
                self.restore()
        return self.finished

    def call(self, seconds: float = math.inf) -> None:
        """Call the kernel once, for a tenth of a second, or for less if only so many seconds are left."""
        share = max(0.0, min(1.0, seconds / CHUNK_SECONDS))
        self._budget.spend(self._call, most=1 + int(self._budget.blocks * share))
        done, ended = self.epochs_done, int(self._watch.counts[codes.ENDED])
        if ended == codes.BAD_WEIGHT:
            self._go_back(done - 1, "largest weight", math.inf)
        elif ended == codes.BAD_LOSS:
            self._go_back(done - 1, "val_loss", float(self._watch.losses[done - 1]))
        elif done < self.epochs and not math.isfinite(self._at.losses[done]):
            self._go_back(done, "loss", float(self._at.losses[done]))
        self.finished = self.finished or done == self.epochs or ended == codes.STOPPED

    def _call(self, budget: int) -> int:
        state = self.state
        step = self._with_factors
        return state.engine.train(self.data, state.memory, step, self._at, budget, self.n_threads, self._watch)

    def _go_back(self, epoch: int, name: str, value: float) -> None:
        """End the course at the start of an epoch, in which something became NaN or infinite."""
        self._rewind.back()
        self._at.position[:] = epoch, 0
        self.finished, self.bad = True, (name, value)

    def stop(self) -> None:
        """End the course. If a weight isn't finite in the middle of an epoch, go back to its start."""
        if not self.finished and self._at.position[codes.SAMPLE] and not is_finite(self.state.network._parameters):
            self._go_back(self.epochs_done, "largest weight", math.inf)
        self.finished = True

    @property
    def rates(self) -> Array:
        """η of each batch of all epochs, or one number for all."""
        return self._step.rates

    @cached_property
    def _best_weights(self) -> list[Array]:
        return self.state.network.copied(self.best_parameters)

    def get_weights(self) -> list[Array]:
        """Return the weights of the best epoch, as `Trainer.get_weights` does, once the course has ended."""
        return self._best_weights

    def restore(self) -> None:
        """Give the network the weights of the best epoch, if there is one and they are stored."""
        if self.best_epoch >= 0 and self.best_parameters.size:
            self.state.network.set_parameters(self.best_parameters)
