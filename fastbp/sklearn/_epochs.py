"""scikit-learn's epochs in fastbp's kernels: its order of samples, batches, penalty and learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .._engine.nothing import NO_BOUNDS
from .._kernels import codes
from .._kernels.tuning import BLOCK
from .._training import lbfgs
from .._training.steps import blocks_before, first_budget
from ..trainer import Trainer
from ._pieces import DENSE_BYTES, Samples, dense, gradients, pieces, rows_at_once, weight_of

Array = npt.NDArray[Any]

ORDERS = 1 << 22  # the most sample numbers in the orders of the epochs of one kernel call
NO_CORRECTION = 1 << 62  # after so many batches, Adam's corrections in the kernel are 1 for any β < 1
ENOUGH = 1 << 40  # more batches than any fit has; NO_CORRECTION, also that of older pickles, is a multiple of it
SLOWEST = 1e-6  # "adaptive" ends a fit at this η

EARLIER_CODES = {0: "SGD", 2: "MOMENTUM", 3: "NESTEROV", 4: "RMSPROP", 5: "ADAGRAD", 6: "ADAM"}  # as pickled before


@dataclass
class Pace:
    """η for each batch and epoch, and the update rule that uses it.

    scikit-learn's Adam adds ε to the uncorrected √v. The kernels are told that there were very many batches, so they
    don't correct the moments. Instead, η contains the corrections: η √(1 − β₂ᵗ)/(1 − β₁ᵗ).

    Parameters
    ----------
    rule : the optimizer in the kernels' form
    initial : η of the first epoch
    schedule : "constant", "invscaling" or "adaptive"
    power : exponent of "invscaling"
    corrects : whether the rule is scikit-learn's Adam
    asked : the parameters of the estimator that the rule was made from
    scale : product of the factors by which callbacks have changed η
    """

    rule: codes.Rule
    initial: float
    schedule: str = "constant"
    power: float = 0.5
    corrects: bool = False
    asked: dict[str, Any] | None = field(default=None, compare=False)
    scale: float = field(default=1.0, compare=False)

    def __post_init__(self) -> None:
        self.learning_rate = float(self.initial)

    def __getstate__(self) -> dict[str, Any]:
        name = next(name for name in EARLIER_CODES.values() if getattr(codes, name) == self.rule.code)
        return vars(self) | {"rule": (name, *self.rule[1:])}  # the numbers of the codes may change

    def __setstate__(self, state: dict[str, Any]) -> None:
        name, *rest = state["rule"]
        vars(self).update(state | {"rule": codes.Rule(getattr(codes, EARLIER_CODES.get(name, name)), *rest)})

    @property
    def first_step(self) -> int:
        """Return the number of batches that the kernels are told came before the first one."""
        return NO_CORRECTION if self.corrects else 0

    def rates(self, steps: int, n_batches: int) -> Array:
        """Return η of the n_batches after `steps` batches, (n_batches,); (1,) if it is the same for all."""
        if not self.corrects:
            return np.array([self.learning_rate])
        t = steps % ENOUGH + np.arange(1.0, n_batches + 1)
        return self.learning_rate * np.sqrt(1 - self.rule.decay_2**t) / (1 - self.rule.decay_1**t)

    def epoch_ends(self, n_samples: int) -> None:
        """Update η after an epoch; n_samples: number of samples seen so far."""
        if self.schedule == "invscaling":
            self.learning_rate = float(self.scale * float(self.initial) / (n_samples + 1) ** self.power)

    def change(self, learning_rate: float) -> None:
        """Set η to a callback's value, from which "invscaling" continues."""
        if learning_rate != self.learning_rate:
            self.scale *= learning_rate / self.learning_rate if self.learning_rate > 0 else 1.0
            self.learning_rate = learning_rate

    def slows_down(self) -> bool:
        """Divide η by 5 if the schedule is adaptive and η is not yet too small. Return whether it was divided."""
        if self.schedule != "adaptive" or self.learning_rate <= SLOWEST:
            return False
        self.learning_rate /= 5
        return True


class Epochs:
    """Epochs over some samples.

    A kernel call runs as many epochs as possible. An epoch is cut into pieces of one or more batches if X is sparse, if
    samples have weights, or if there is a penalty and the loss is a mean over outputs.

    Parameters
    ----------
    trainer : its network and its optimizer's state are used
    samples : the training samples
    pace : η and the update rule
    batch_size, alpha : as in scikit-learn
    averages : whether the loss is also a mean over outputs
    order : returns the order of the samples for an epoch, (n,); None keeps them as they are
    """

    def __init__(
        self,
        trainer: Trainer,
        samples: Samples,
        pace: Pace,
        batch_size: int,
        alpha: float,
        *,
        averages: bool = False,
        order: Callable[[], npt.NDArray[np.int64]] | None = None,
    ) -> None:
        self.trainer, self.engine, self.samples = trainer, trainer._state.engine, samples
        self.pace, self.alpha, self.order = pace, float(alpha), order
        self.n = samples.X.shape[0]
        self.n_outputs = trainer.layer_sizes[-1] if averages else 1
        self.one_by_one = samples.weights is not None or (self.n_outputs > 1 and alpha > 0)
        self.whole = isinstance(samples.X, np.ndarray) and not self.one_by_one
        self.batch_size = 0
        self.cut(batch_size)

    def cut(self, batch_size: int) -> None:
        """Use this batch size from the next epoch on."""
        if batch_size == self.batch_size:
            return
        self.batch_size, self.n_batches = batch_size, -(-self.n // batch_size)
        together = DENSE_BYTES // (batch_size * self.samples.X.shape[1] * self.trainer.dtype.itemsize)
        self.piece = batch_size * (1 if self.one_by_one else max(1, together))
        self.budget = first_budget(self.trainer._state, min(batch_size, BLOCK))

    @property
    def at_once(self) -> int:
        """Return how many epochs one kernel call may run."""
        return max(1, ORDERS // self.n) if self.whole else 1

    def run(self, count: int) -> Iterator[float]:
        """Train for some epochs. Yield the mean loss of each epoch's batches, each with the weights before its update.

        A loss that isn't finite is the last one. Ctrl-C is raised after the loss of the last complete epoch.
        """
        rates = self.pace.rates(int(self.trainer._state.memory.steps[0]), count * self.n_batches)
        orders = [self.order() for _ in range(count)] if self.order else []
        if not self.whole:
            yield self._by_pieces(orders[0] if orders else None, rates)
            return
        order = np.concatenate(orders) if orders else None
        constant = self.samples.constant(slice(None))
        data = self.engine.data(self.samples.X, *self._labelled(slice(None)), order=order)
        yield from (loss + constant for loss in self._train(data, rates, count))

    def _by_pieces(self, order: npt.NDArray[np.int64] | None, rates: Array) -> float:
        """Train for one epoch, piece by piece, and return its mean loss."""
        k, total, X, dtype = 0, 0.0, self.samples.X, self.trainer.dtype
        in_parts = not isinstance(X, np.ndarray) and self.batch_size > rows_at_once(X, dtype)
        piece = self.batch_size if in_parts else self.piece
        for start in range(0, self.n, piece):
            where = slice(start, min(start + piece, self.n))
            take = where if order is None else order[where]
            next_rates = rates[k:] if len(rates) > 1 else rates
            if in_parts:
                losses = iter([self._batch_in_parts(self.samples.of(take), float(next_rates[0]))])
            else:
                losses = self._train(self.engine.data(dense(X[take], dtype), *self._labelled(take)), next_rates, 1)
            for loss in losses:
                if not math.isfinite(loss):
                    return loss
                total += (loss + self.samples.constant(take)) * (where.stop - start)
            k += piece // self.batch_size
        return total / self.n

    def _batch_in_parts(self, batch: Samples, rate: float) -> float:
        """Update once with a batch that is too large to be made dense at once, and return its mean loss."""
        trainer, weight, m = self.trainer, weight_of(batch), batch.X.shape[0]
        if weight == 0:
            return 0.0
        total, first, sums = 0.0, 0, None
        for data in pieces(trainer, batch):
            rows = len(data.X)
            part = codes.Part(0, rows, first, weight)
            step = self._step(np.array([rate]), m)._replace(block=min(rows, BLOCK), part=part)
            first += rows
            with self.engine.part(data, trainer._state.memory, step, trainer.n_threads) as (gradients, loss, update):
                total += loss
                if not math.isfinite(total):
                    return total
                if sums is not None:
                    np.add(gradients, sums, out=gradients)
                if first < m:
                    sums = gradients.copy()
                else:
                    total += weight * update(rate)
        return self._reported(total / weight)

    def _step(self, rates: Array, batch_size: int) -> codes.Step:
        """Return the step for batches of this size."""
        seed, block = np.uint64(self.trainer._state.dropout_seed), min(batch_size, BLOCK)
        return codes.Step(self.pace.rule, NO_BOUNDS, rates, seed, batch_size, block, self.alpha)

    def change_rate(self, before: float) -> None:
        """Rescale the velocities when η has changed: scikit-learn's contain η, the kernels' don't."""
        now, velocity = self.pace.learning_rate, self.trainer._state.memory.first
        if now != before and velocity.size and self.pace.rule.code in (codes.MOMENTUM, codes.NESTEROV):
            with np.errstate(over="ignore", invalid="ignore"):
                velocity *= before / now if now > 0 else 0.0

    def _labelled(self, take: Any) -> tuple[Array | None, npt.NDArray[np.int64] | None, Array | None]:
        """Return the targets, labels and weights of some samples."""
        _, targets, labels, weights, _ = self.samples
        return (
            targets[take] if len(targets) else None,
            labels[take] if len(labels) else None,
            None if weights is None else weights[take],
        )

    def _train(self, data: codes.Data, rates: Array, count: int) -> Iterator[float]:
        """Train for some epochs and yield the mean loss of each one's batches. Samples are left out if all weigh 0."""
        if data.weight == 0:
            yield from [0.0] * count
            return
        trainer, memory, interruption = self.trainer, self.trainer._state.memory, None
        memory.sums.fill(0)  # a step writes only some of them, and `_reported` adds up all
        step = self._step(rates, min(self.batch_size, len(data.X)))
        at = codes.Progress(np.zeros(2, np.int64), trainer._state.random, np.zeros(count))
        position, losses, threads = at.position, at.losses, trainer.n_threads
        try:
            while (running := position[codes.EPOCH]) < count and math.isfinite(losses[running]):
                most = count * blocks_before(len(data.X), step)
                self.budget.spend(lambda blocks: self.engine.train(data, memory, step, at, blocks, threads), most=most)
        except KeyboardInterrupt as error:
            interruption = error
        yield from map(self._reported, losses[: position[codes.EPOCH]].tolist())
        if interruption:
            raise interruption
        if running < count:
            yield float(losses[running])

    def _reported(self, loss: float) -> float:
        """Convert the kernels' loss to scikit-learn's, which may be a mean over outputs."""
        if self.n_outputs == 1:
            return loss
        penalty = float(self.trainer._state.memory.sums[1::2].sum()) if self.alpha > 0 else 0.0
        return (loss - penalty) / self.n_outputs + penalty


def minimize(
    trainer: Trainer,
    samples: Samples,
    alpha: float,
    options: dict[str, Any],
    after: Callable[[float], bool],
) -> Any:
    """Find the weights with scipy's L-BFGS-B over all samples. A large sparse X is made dense one piece at a time.

    Parameters
    ----------
    trainer : its weights are the start, and get the result
    samples : all training samples
    alpha : as in scikit-learn: J = mean loss + ½ alpha Σ θ² / Σ w
    options : options of scipy's L-BFGS-B
    after : called with J after each iteration; returns whether to stop

    Returns
    -------
    The result of scipy.
    """
    data: codes.Data | Samples = samples
    if isinstance(samples.X, np.ndarray):
        data = trainer._state.engine.data(samples.X, *samples[1:4])
    l2, constant = float(alpha) / weight_of(data), samples.constant(slice(None))
    theta_views, b_views = [theta.T for theta in trainer.weights], trainer.biases

    def cost(parameters: Array) -> tuple[float, Array]:
        place(parameters, [*theta_views, *b_views])
        J, weights, biases = gradients(trainer, data)
        derivatives, penalty = [], 0.0
        for theta, gradient in zip(theta_views, weights, strict=True):
            derivatives.append(gradient.T + l2 * theta)
            penalty += 0.5 * l2 * float(np.sum(theta * theta, dtype=np.float64))
        return J + penalty + constant, lbfgs.flat([*derivatives, *biases])

    start = lbfgs.flat([*theta_views, *b_views])
    result = lbfgs.minimize(cost, start, options, lambda result: after(float(result.fun)))
    place(result.x, [*theta_views, *b_views])
    return result


def place(numbers: Array, views: Sequence[Array]) -> None:
    """Write the numbers from `flat` into views."""
    start = 0
    for view in views:
        view[...] = numbers[start : start + view.size].reshape(view.shape)
        start += view.size
