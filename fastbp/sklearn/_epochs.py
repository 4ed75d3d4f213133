"""scikit-learn's epochs in fastbp's kernels: its order of samples, its batches, its penalty, its learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._engine import BLOCK
from .._kernels import codes
from .._run import CHUNK_SECONDS, FIRST_CHUNK
from ..trainer import Trainer

Array = npt.NDArray[Any]

PIECE_BYTES = 1 << 20  # of the samples that are put in order at once: what a core's cache still holds,
PIECE_PAYS = 5e8  # or as many as make so many multiplications, some 20 ms, beside which the copy is little
THREADS_PAY = 2e8  # multiplications of one call, 5 ms, that are worth starting threads for
WHOLE_BYTES = 1 << 26  # of a sparse matrix, up to which all of it is made dense at once
NO_CORRECTION = 1 << 40  # batches, after which the kernel's own corrections of Adam are 1
SLOWEST = 1e-6  # η from which "adaptive" ends a fit


class Samples(NamedTuple):
    """What is learnt from: X, and of targets and labels the one that the loss takes."""

    X: Any  # (n, n_1) C-contiguous of the trainer's dtype, or CSR
    targets: Array  # (n, n_L) of the trainer's dtype, or (0, n_L)
    labels: npt.NDArray[np.int64]  # (n,) class numbers, or (0,)
    weights: Array | None = None  # (n,) of the trainer's dtype
    constants: Array | None = None  # (n,) that the loss which is reported has more than the kernels'

    def of(self, rows: npt.NDArray[np.int64]) -> Samples:
        """Some of them."""
        parts = (part if part is None or not part.shape[0] else part[rows] for part in self)
        return Samples(*parts)  # type: ignore[arg-type]

    def constant(self, take: Any) -> float:
        """The mean of some samples' constants."""
        if self.constants is None:
            return 0.0
        weights = None if self.weights is None else self.weights[take]
        if weights is not None and not weights.any():
            return 0.0
        return float(np.average(self.constants[take], weights=weights))


@dataclass
class Pace:
    """η, from batch to batch and from epoch to epoch, and the rule that it is for.

    scikit-learn's Adam adds ε to the uncorrected √v. Kernels that are told of a great many batches correct nothing,
    and the correction of both moments comes with η: η √(1 − β₂ᵗ)/(1 − β₁ᵗ).

    Parameters
    ----------
    rule : the optimizer in numbers
    initial : η of the first epoch
    schedule : "constant", "invscaling" or "adaptive"
    power : of "invscaling"
    corrects : whether the rule is scikit-learn's Adam
    """

    rule: codes.Rule
    initial: float
    schedule: str = "constant"
    power: float = 0.5
    corrects: bool = False

    def __post_init__(self) -> None:
        self.learning_rate = float(self.initial)

    @property
    def first_step(self) -> int:
        """Batches that the kernels are told have been before the first."""
        return NO_CORRECTION if self.corrects else 0

    def rates(self, steps: int, n_batches: int) -> Array:
        """η of the next batches, (n_batches,), after so many; (1,) where they have all the same."""
        if not self.corrects:
            return np.array([self.learning_rate])
        t = np.arange(steps - NO_CORRECTION + 1, steps - NO_CORRECTION + n_batches + 1, dtype=np.float64)
        return self.learning_rate * np.sqrt(1 - self.rule.decay_2**t) / (1 - self.rule.decay_1**t)

    def epoch_ends(self, n_samples: int) -> None:
        """n_samples: seen so far."""
        if self.schedule == "invscaling":
            self.learning_rate = float(self.initial) / (n_samples + 1) ** self.power

    def slows_down(self) -> bool:
        """Divide η by 5 where it is adaptive and not yet too small; whether it was."""
        if self.schedule != "adaptive" or self.learning_rate <= SLOWEST:
            return False
        self.learning_rate /= 5
        return True


class Piece(NamedTuple):
    """Some batches of an epoch, which are put in order and trained with together."""

    start: int
    stop: int
    batch_size: int


class Epochs:
    """Epochs over some samples.

    As in scikit-learn J of a batch is the mean loss + ½ alpha Σ θ² / (Σ w of the batch), so that the last, shorter
    batch has a larger penalty: it is a piece of its own.

    Parameters
    ----------
    trainer : whose network and memory are used
    samples : all there are
    rows : which of them train; None: all
    pace : η and the rule
    batch_size, alpha : scikit-learn's
    averages : whether the loss is a mean over outputs, too
    order : gives the order of the rows for each epoch, (rows,); None: as they are
    """

    def __init__(
        self,
        trainer: Trainer,
        samples: Samples,
        rows: npt.NDArray[np.int64] | None,
        pace: Pace,
        batch_size: int,
        alpha: float,
        *,
        averages: bool = False,
        order: Callable[[], npt.NDArray[np.int64]] | None = None,
    ) -> None:
        self.trainer, self.engine, self.samples, self.rows = trainer, trainer._engine, samples, rows
        self.pace, self.alpha, self.order = pace, float(alpha), order
        self.n = samples.X.shape[0] if rows is None else len(rows)
        self.n_outputs = trainer.layer_sizes[-1] if averages else 1
        self.one_by_one = samples.weights is not None or (self.n_outputs > 1 and alpha > 0)
        self.copies = order is not None or rows is not None or not isinstance(samples.X, np.ndarray)
        self.pieces = list(self._cut(batch_size))
        self.n_batches = -(-self.n // batch_size)
        self.budget = 1 + int(FIRST_CHUNK / (min(batch_size, BLOCK) * trainer.n_parameters))
        longest = max(piece.stop - piece.start for piece in self.pieces)
        dense = self.copies and isinstance(samples.X, np.ndarray)
        self.buffer = np.empty((longest if dense else 0, samples.X.shape[1]), trainer.dtype)

    def _cut(self, batch_size: int) -> Iterator[Piece]:
        """The pieces of an epoch."""
        whole = self.n - self.n % batch_size
        bytes_of_batch = batch_size * self.samples.X.shape[1] * self.trainer.dtype.itemsize
        together = max(PIECE_BYTES // bytes_of_batch, int(PIECE_PAYS / (3 * batch_size * self.trainer.n_parameters)))
        together = max(1, min(together, WHOLE_BYTES // bytes_of_batch)) if self.copies else self.n
        length = batch_size * (1 if self.one_by_one else together)
        for start in range(0, whole, length):
            yield Piece(start, min(start + length, whole), batch_size)
        if whole < self.n:
            yield Piece(whole, self.n, self.n - whole)

    def next(self) -> float:
        """Train for an epoch; returns the mean loss of its batches, each with the weights before its update."""
        order = self.order() if self.order else None
        if self.rows is not None:
            order = self.rows if order is None else self.rows[order]
        rates, k, total = self.pace.rates(int(self.trainer._memory.steps[0]), self.n_batches), 0, 0.0
        for piece in self.pieces:
            where = slice(piece.start, piece.stop)
            take = where if order is None else order[where]
            data = self._data(piece, take)
            loss = self._run(data, piece.batch_size, rates[k:] if len(rates) > 1 else rates)
            if not math.isfinite(loss):
                return loss
            total += (loss + self.samples.constant(take)) * (piece.stop - piece.start)
            k += (piece.stop - piece.start) // piece.batch_size
        return total / self.n

    def change_rate(self, before: float) -> None:
        """Let the velocities go on when η has changed: scikit-learn's have η inside, the kernels' have not."""
        now, velocity = self.pace.learning_rate, self.trainer._memory.first
        if now != before and velocity.size and self.pace.rule.code in (codes.MOMENTUM, codes.NESTEROV):
            with np.errstate(over="ignore", invalid="ignore"):
                velocity *= before / now if now > 0 else 0.0

    def _data(self, piece: Piece, take: Any) -> codes.Data:
        samples = self.samples
        if not self.copies:
            X = samples.X[take]
        elif isinstance(samples.X, np.ndarray):
            X = np.take(samples.X, take, axis=0, out=self.buffer[: piece.stop - piece.start], mode="clip")
        else:
            X = samples.X[take].toarray()
        return self.engine.data(
            X,
            samples.targets[take] if len(samples.targets) else None,
            samples.labels[take] if len(samples.labels) else None,
            None if samples.weights is None else samples.weights[take],
        )

    def _run(self, data: codes.Data, batch_size: int, rates: Array) -> float:
        """Train with a piece; returns the mean loss of its batches. A batch whose samples all weigh 0 is left out."""
        if data.weight == 0:
            return 0.0
        trainer, memory = self.trainer, self.trainer._memory
        l2 = self.alpha / (data.weight if data.weights.size else batch_size)
        bounds = codes.Bounds(0.0, l2, math.inf, math.inf, math.inf)
        seed = np.uint64(trainer._dropout_seed)
        step = codes.Step(self.pace.rule, bounds, rates, seed, batch_size, min(batch_size, BLOCK))
        at = codes.Progress(np.zeros(2, np.int64), trainer._random, np.zeros(1))
        work = 3 * trainer.n_parameters * len(data.X)
        threads = 1 if trainer.n_threads == "auto" and work < THREADS_PAY else trainer.n_threads
        while at.position[codes.EPOCH] == 0 and math.isfinite(at.losses[0]):
            started = perf_counter()
            blocks = self.engine.train(data, memory, step, at, self.budget, threads)
            self.budget = 1 + int(blocks / (perf_counter() - started) * CHUNK_SECONDS)
        loss = float(at.losses[0])
        if self.n_outputs == 1:
            return loss
        penalty = float(memory.sums[1::2].sum()) if l2 > 0 else 0.0
        return (loss - penalty) / self.n_outputs + penalty


def dense(X: Any) -> Array:
    """X as an array."""
    return X if isinstance(X, np.ndarray) else X.toarray()


def minimize(
    trainer: Trainer,
    samples: Samples,
    alpha: float,
    options: dict[str, Any],
    after: Callable[[float], bool],
) -> Any:
    """Find the weights by scipy's L-BFGS-B, all samples at once; a sparse X is made dense.

    Parameters
    ----------
    trainer : whose weights are found, and from which they start
    samples : all of them
    alpha : scikit-learn's: J = mean loss + ½ alpha Σ θ² / Σ w
    options : scipy's
    after : told J after each iteration; answers whether to stop

    Returns
    -------
    scipy's result
    """
    from scipy.optimize import minimize as scipy_minimize

    data = trainer._engine.data(dense(samples.X), *samples[1:4])
    l2, constant = float(alpha) / data.weight, samples.constant(slice(None))
    theta_views, b_views = [theta.T for theta in trainer.weights], trainer.biases

    def cost(parameters: Array) -> tuple[float, Array]:
        place(parameters, [*theta_views, *b_views])
        J, weights, biases = trainer._engine.gradients(data)
        gradients, penalty = [], 0.0
        for theta, gradient in zip(theta_views, weights, strict=True):
            gradients.append(gradient.T + l2 * theta)
            penalty += 0.5 * l2 * float(np.sum(theta * theta, dtype=np.float64))
        return J + penalty + constant, flat([*gradients, *biases])

    def iteration(intermediate_result: Any) -> None:  # the name tells scipy what to give
        if after(float(intermediate_result.fun)):
            raise StopIteration

    start = flat([*theta_views, *b_views])
    result = scipy_minimize(cost, start, jac=True, method="L-BFGS-B", callback=iteration, options=options)
    place(result.x, [*theta_views, *b_views])
    return result


def flat(parts: Sequence[Array]) -> Array:
    """All numbers, float64."""
    return np.concatenate([part.ravel() for part in parts]).astype(np.float64, copy=False)


def place(numbers: Array, views: Sequence[Array]) -> None:
    """Write what `flat` gave into views."""
    start = 0
    for view in views:
        view[...] = numbers[start : start + view.size].reshape(view.shape)
        start += view.size
