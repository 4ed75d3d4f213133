"""Course: the training of one network with validation and early stopping, for callers that decide when it continues."""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from .._kernels import codes
from .._kernels.tuning import BLOCK
from .._library.library import is_finite
from .state import Rewind, State
from .steps import blocks_before, first_budget

Array = npt.NDArray[Any]


class Course:
    """Some epochs of training, each followed by a measurement of the validation loss.

    Several courses may share X, of which each `codes.Data` chooses rows: ``engine.data(X, y, rows=…, shuffle=True)``.

    Parameters
    ----------
    state : the state of a trainer; the course changes it
    data : the training samples
    validation : the samples of which J, without penalties, decides which epoch is the best
    epochs : the most epochs
    patience : number of epochs in a row without improvement after which training stops; None to train all epochs
    min_delta : how much less than the least loss a loss must be to count as an improvement
    rates : (epochs · batches,) η of each batch, or (1,); the trainer's learning rate by default

    Attributes
    ----------
    losses, val_losses : (k,) of the k finished epochs
    best_epoch : index of the best epoch, or −1 before the first
    finished : whether there is nothing left to do; then the network has the weights of the best epoch
    stopped_early : whether it ended because of the patience
    diverged : whether it ended because a loss or a weight became NaN or infinite
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
    ) -> None:
        self.state, self.data, self.validation = state, data, validation
        self.epochs, self.patience, self.min_delta = epochs, patience, min_delta
        batch_size = min(state.batch_size, data.n)
        rates = np.array([state.learning_rate]) if rates is None else np.asarray(rates, np.float64)
        seed = np.uint64(state.dropout_seed)
        block = min(batch_size, BLOCK)
        self._step = codes.Step(state.optimizer.rule(), state.bounds, rates, seed, batch_size, block)
        self._at = codes.Progress(np.zeros(2, np.int64), state.random, np.zeros(epochs))
        self._val_losses = np.zeros(epochs)
        self._budget = first_budget(state, self._step.block)
        self._best, self._weights, self._waited = math.inf, state.network._parameters.copy(), 0
        self._rewind = Rewind(state)
        self.best_epoch, self.finished = -1, epochs == 0
        self.stopped_early = self.diverged = False

    @property
    def losses(self) -> Array:
        """The mean loss of each finished epoch."""
        return self._at.losses[: self._done]

    @property
    def val_losses(self) -> Array:
        """The validation loss after each finished epoch."""
        return self._val_losses[: self._done]

    @property
    def _done(self) -> int:
        return int(self._at.position[codes.EPOCH])

    def advance(self, seconds: float = math.inf) -> bool:
        """Train for about so long. Return whether the course is finished."""
        end = perf_counter() + seconds
        with self.state.engine.exclusively():
            while not self.finished:
                self._epoch()
                if perf_counter() > end:
                    break
        return self.finished

    def _epoch(self) -> None:
        state, done, data = self.state, self._done, self.data
        at = self._at._replace(losses=self._at.losses[: done + 1])
        self._rewind.keep(0)
        while self._done == done and math.isfinite(at.losses[done]):
            state.engine.train(data, state.memory, self._step, at, blocks_before(data.n, self._step), 1)
        loss = math.nan
        if math.isfinite(at.losses[done]) and is_finite(state.network._parameters):
            loss, _ = state.engine.evaluate(self.validation, 1, predictions=False)
        if not math.isfinite(loss):
            self._rewind.back()
            self._at.position[:] = done, 0
            self.diverged = True
            self.end()
            return
        self._val_losses[done] = loss
        self._watch(done, loss)

    def _watch(self, done: int, loss: float) -> None:
        if self._best - loss > self.min_delta:
            self._best, self.best_epoch, self._waited = loss, done, 0
            self._weights[:] = self.state.network._parameters
        else:
            self._waited += 1
        self.stopped_early = self.patience is not None and self._waited >= self.patience
        if self.stopped_early or done + 1 == self.epochs:
            self.end()

    def end(self) -> None:
        """End the course with the weights of the best epoch."""
        self.state.network._parameters[:] = self._weights
        self.finished = True
