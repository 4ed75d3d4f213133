"""Members: the mean of the losses of an ensemble whose members share the hidden layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .._checks import whole, wrong
from .._kernels import codes
from .._kernels.graph import nodes
from ._kinds import CrossEntropy, Loss, Quantile
from ._named import LOSSES, loss_of
from ._rows import GaussianNLL, Likelihood, NegativeBinomial, count_interval, normal_interval

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Members(Loss):
    """Mean of the losses of the members of an ensemble that share the hidden layers of one network.

    n_L is n_members times the number of outputs that ``loss`` needs. The outputs of the first member come first.
    `Trainer.predict_members` returns the prediction of each member, and `Trainer.predict` returns their mean. The
    output layer computes zᴸ. The loss itself applies softmax, sigmoid or e^z.

    `Trainer.predict_std` returns the standard deviation of the members' predictions. This is how much the members
    disagree, not how far y is from the prediction. If ``loss`` is GaussianNLL or NegativeBinomial, it returns the
    standard deviation of the mixture of the members' distributions. `Trainer.predict_interval` then uses a
    distribution with the mean and variance of the mixture (Lakshminarayanan et al., 2017).

    Parameters
    ----------
    loss : str or fastbp.losses.Loss
        Loss of each member. It can't be your own function.
    n_members : int
        Number of members, at least 2.
    """

    name, formula = "members", "mean of the losses of the members"
    code: ClassVar[int] = nodes.MEMBERS
    any_output, needs_graph = False, True

    loss: Loss
    n_members: int

    def __post_init__(self) -> None:
        inner = loss_of(self.loss)
        if type(inner) not in (*LOSSES.values(), GaussianNLL, NegativeBinomial):
            expected = "one of fastbp's losses other than Members"
            raise ValueError(wrong("loss", expected, repr(inner.name)))
        object.__setattr__(self, "loss", inner)
        object.__setattr__(self, "n_members", whole("n_members", self.n_members, minimum=2))

    @property
    def of_targets(self) -> Loss:
        return self.loss.of_targets

    def target_columns(self, n_outputs: int) -> int:
        return self.loss.target_columns(n_outputs // self.n_members)

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        n, rest = divmod(n_outputs, self.n_members)
        if rest:
            expected = f"a multiple of n_members={self.n_members} as the number of outputs"
            raise ValueError(wrong("layer_sizes", expected, n_outputs))
        if n == 1 and isinstance(self.loss, CrossEntropy):
            came = "one; for two classes in one output use the loss 'binary_cross_entropy'"
            raise ValueError(wrong("layer_sizes", "two or more outputs for each member with cross_entropy", came))
        inner = self.loss.objective(n, dtype)
        parameter = inner.parameter * (self.n_members if len(inner.parameter) > 1 else 1)
        return inner._replace(code=inner.code + nodes.MEMBERS * self.n_members, parameter=parameter)

    def answer_activation(self, output: str) -> str:
        return self.loss.answer_activation(self.loss.output)

    def units(self, mean: Array, deviation: Array) -> tuple[Array, Array]:
        n = len(mean) // self.n_members
        factor, shift = self.loss.units(mean[:n], deviation[:n])
        return np.tile(factor, self.n_members), np.tile(shift, self.n_members)

    def members(self, outputs: Array) -> Array:
        return np.stack([self.loss.answer(linked(part, self.loss.output)) for part in self._parts(outputs)], axis=1)

    def answer(self, outputs: Array) -> Array:
        return self.members(outputs).mean(axis=1)

    def std(self, outputs: Array) -> Array:
        answers = self.members(outputs)
        if not isinstance(self.loss, Likelihood):
            return answers.std(axis=1, ddof=1)
        variances = np.stack([self.loss.std(part) ** 2 for part in self._parts(outputs)], axis=1)
        return np.sqrt(variances.mean(axis=1) + answers.var(axis=1))

    def interval(self, outputs: Array, coverage: float) -> Array:
        if isinstance(self.loss, GaussianNLL):
            return normal_interval(self.answer(outputs), self.std(outputs), coverage)
        if isinstance(self.loss, NegativeBinomial):
            return count_interval(self.answer(outputs), self.std(outputs), coverage)
        if isinstance(self.loss, Quantile):
            return self.loss.interval(self.answer(outputs), coverage)
        return super().interval(outputs, coverage)

    def _parts(self, outputs: Array) -> list[Array]:
        return np.split(outputs, self.n_members, axis=1)


def linked(z: Array, output: str) -> Array:
    """Return the output activation of a loss for zᴸ, (n, n_L)."""
    if output == "softmax":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    if output == "sigmoid":
        return 0.5 * (1 + np.tanh(0.5 * z))
    return np.exp(z) if output == "exponential" else z
