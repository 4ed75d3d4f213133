"""Likelihoods: row losses with several outputs for each target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .._checks import real, shown, wrong
from .._extras import not_installed
from .._kernels import codes
from .._kernels.graph import nodes
from ._kinds import Loss, Poisson, SquaredError

Array = npt.NDArray[Any]


class Likelihood(Loss):
    """Base class of the losses with two outputs for each target: first those for the means, then the others."""

    any_output, needs_graph = False, True

    def target_columns(self, n_outputs: int) -> int:
        return n_outputs // 2

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        if n_outputs % 2:
            expected = f"two outputs for each target with loss={self.name!r}"
            raise ValueError(wrong("layer_sizes", expected, n_outputs))
        return codes.Objective(self.code)


@dataclass(frozen=True)
class GaussianNLL(Likelihood):
    """Gaussian negative log-likelihood: Σ ½ (s + (y − μ)² e⁻ˢ), with outputs μ and s = log σ² for each target.

    n_L is twice the number of targets: first the means of all targets, then their log variances. The loss is PyTorch's
    GaussianNLLLoss with ``var = exp(s)``, without its lower bound on the variance. `Trainer.predict` returns μ,
    `Trainer.predict_std` returns σ, and `Trainer.predict_interval` returns quantiles of the normal distribution.

    Parameters
    ----------
    beta : float, in [0, 1]
        β of the β-NLL (Seitzer et al., 2022), which multiplies the gradient of each target by σ^2β. With 0, it is the
        gradient of the loss. With 1, the means learn as with the squared error. Try 0.5 if the means learn too slowly
        where σ is large. J doesn't contain the factor, but `Trainer.gradients` and `Trainer.input_gradients` do.
    """

    name, code = "gaussian_nll", nodes.GAUSSIAN_NLL
    formula = "Σ ½ (s + (y − μ)² e⁻ˢ), s = log σ²"

    beta: float = 0.0

    def __post_init__(self) -> None:
        beta = real("beta", self.beta, minimum=0, dtype=np.dtype("float64"))
        if beta > 1:
            raise ValueError(wrong("beta", "a number in [0, 1]", shown(self.beta)))
        object.__setattr__(self, "beta", beta)

    @property
    def of_targets(self) -> Loss:
        return SquaredError()

    def objective(self, n_outputs: int, dtype: np.dtype[Any]) -> codes.Objective:
        return super().objective(n_outputs, dtype)._replace(parameter=(self.beta,))

    def answer(self, outputs: Array) -> Array:
        return outputs[:, : outputs.shape[1] // 2]

    def units(self, mean: Array, deviation: Array) -> tuple[Array, Array]:
        t = len(mean) // 2
        return np.concatenate([deviation[:t], np.ones(t)]), np.concatenate([mean[:t], 2 * np.log(deviation[:t])])

    def std(self, outputs: Array) -> Array:
        return np.exp(0.5 * outputs[:, outputs.shape[1] // 2 :])

    def interval(self, outputs: Array, coverage: float) -> Array:
        return normal_interval(self.answer(outputs), self.std(outputs), coverage)


@dataclass(frozen=True)
class NegativeBinomial(Likelihood):
    """Negative log-likelihood of counts: −Σ log P(y), P negative binomial, with outputs log μ and log α.

    The distribution has the mean μ and the variance μ + α μ². For α → 0, it is the Poisson distribution. n_L is twice
    the number of targets: first log μ of all targets, then their log dispersions log α. `Trainer.predict` returns μ,
    `Trainer.predict_std` returns √(μ + α μ²), and `Trainer.predict_interval` returns quantiles, for which it needs
    scipy.
    """

    name, code = "negative_binomial", nodes.NEGATIVE_BINOMIAL
    formula = "−Σ log P(y), P negative binomial with mean μ and variance μ + α μ²"

    @property
    def of_targets(self) -> Loss:
        return Poisson()

    def answer_activation(self, output: str) -> str:
        return "exponential"

    def answer(self, outputs: Array) -> Array:
        return np.exp(outputs[:, : outputs.shape[1] // 2])

    def std(self, outputs: Array) -> Array:
        mean = self.answer(outputs)
        return np.sqrt(mean + np.exp(outputs[:, outputs.shape[1] // 2 :]) * mean**2)

    def interval(self, outputs: Array, coverage: float) -> Array:
        return count_interval(self.answer(outputs), self.std(outputs), coverage)


def normal_interval(mean: Array, std: Array, coverage: float) -> Array:
    """Return the quantiles (1 ± coverage)/2 of normal distributions, (…, 2)."""
    from statistics import NormalDist  # takes longer to import than all losses

    half = NormalDist().inv_cdf((1 + coverage) / 2) * std
    return np.stack([mean - half, mean + half], axis=-1)


def count_interval(mean: Array, std: Array, coverage: float) -> Array:
    """Return the quantiles (1 ± coverage)/2 of negative binomial distributions, or Poisson's if α is 0, (…, 2)."""
    try:
        from scipy import stats
    except ImportError:
        raise not_installed("predict_interval of counts needs scipy", "lbfgs") from None
    wide = std.astype(np.float64)
    mean_, excess = mean.astype(np.float64), np.maximum(wide**2 - mean, 0)
    p = mean_ / np.maximum(wide**2, mean_)
    bounds = []
    for q in ((1 - coverage) / 2, (1 + coverage) / 2):
        few = excess <= 1e-9 * mean_
        r = mean_**2 / np.where(few, 1, excess)
        bounds.append(np.where(few, stats.poisson.ppf(q, mean_), stats.nbinom.ppf(q, r, p)))
    return np.stack(bounds, axis=-1).astype(mean.dtype)
