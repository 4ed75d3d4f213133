"""Optimizers: frozen dataclasses with the settings that the kernels need to update the parameters.

The formulas are PyTorch's. Default values differ where the docstrings say so. θ is a parameter, g = ∂J/∂θ its gradient
over a mini-batch, η the learning rate, and t the number of the mini-batch, from 1. The state (v, m) that an optimizer
keeps for each parameter starts at 0.

Weight decay is decoupled for every optimizer here, as in AdamW (Loshchilov & Hutter 2019) and in Keras. It applies
Θ ← Θ − η · weight_decay · Θ before the formula, to the weights Θˡ but not to the biases. Keras and PyTorch decay the
biases, too. PyTorch's other optimizers add weight_decay · θ to g instead; the trainer's l2 does the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from . import _checks
from ._kernels import codes

FLOAT64 = np.dtype("float64")
MOMENTS = {  # code → number of state values for each parameter
    codes.SGD: 0,
    codes.MOMENTUM: 1,
    codes.NESTEROV: 1,
    codes.RMSPROP: 1,
    codes.ADAGRAD: 1,
    codes.ADAM: 2,
}


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base class of optimizers. An optimizer has a learning rate η > 0, a name, and a rule for the kernels."""

    name: ClassVar[str]  # the name that `Trainer` accepts

    learning_rate: float

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item.name, getattr(self, item.name)))

    @abstractmethod
    def rule(self) -> codes.Rule:
        """Return the settings for the kernels, without η."""

    @property
    def n_moments(self) -> int:
        """Number of state values that the optimizer keeps for each parameter: 0, 1 or 2."""
        return MOMENTS[self.rule().code]


def _checked(argument: str, value: Any) -> Any:
    """Check an argument of an optimizer. A name means the same in all optimizers."""
    if argument == "nesterov":
        return _checks.flag(argument, value)
    if argument == "memory":
        return _checks.whole(argument, value, minimum=1)
    if argument in ("learning_rate", "epsilon", "tolerance"):
        return _checks.real(argument, value, above=0, dtype=FLOAT64)
    if argument == "weight_decay":
        return _checks.real(argument, value, minimum=0, dtype=FLOAT64)
    if argument == "momentum":
        return _momentum(value)
    return _checks.fraction(argument, value)  # ρ and β: with 1, the averages would never change


def _momentum(value: Any) -> float:
    """Return a momentum in [0, 1], as in Keras and scikit-learn."""
    number = _checks.real("momentum", value, minimum=0, dtype=FLOAT64)
    if number > 1:
        raise ValueError(_checks.wrong("momentum", "a number in [0, 1]", _checks.shown(value)))
    return number


def _descent(momentum: float, nesterov: bool, weight_decay: float) -> codes.Rule:
    """Return the rule of gradient descent; with momentum 0 it is plain gradient descent."""
    code = codes.SGD if momentum == 0 else codes.NESTEROV if nesterov else codes.MOMENTUM
    return codes.Rule(code, momentum, 0.0, 0.0, weight_decay)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Mini-batch gradient descent: θ ← θ − η g.

    With momentum μ: v ← μ v + g, θ ← θ − η v. With Nesterov momentum: v ← μ v + g, θ ← θ − η (g + μ v). Both are as in
    PyTorch. Keras multiplies g by η before it adds g to v; the result is the same as long as η is constant.

    Parameters
    ----------
    learning_rate : float
        η > 0. PyTorch's default is 0.001, Keras's 0.01.
    momentum : float
        μ in [0, 1]. With 0 it is plain gradient descent, which keeps no state.
    nesterov : bool
        Whether to use Nesterov momentum; needs momentum > 0.
    weight_decay : float
        Decoupled weight decay, ≥ 0.
    """

    name = "sgd"

    learning_rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ValueError(_checks.wrong("momentum", "a number > 0 with nesterov=True", 0))

    def rule(self) -> codes.Rule:
        """Return the settings for the kernels, without η."""
        return _descent(self.momentum, self.nesterov, self.weight_decay)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum: v ← μ v + g, θ ← θ − η v (PyTorch's convention).

    Parameters
    ----------
    learning_rate : float
        η > 0. With a constant gradient, the effective learning rate approaches η/(1 − μ), by default ten times η.
    momentum : float
        μ in [0, 1].
    weight_decay : float
        Decoupled weight decay, ≥ 0.
    """

    name = "momentum"

    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0

    def rule(self) -> codes.Rule:
        """Return the settings for the kernels, without η."""
        return _descent(self.momentum, False, self.weight_decay)


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Gradient descent with Nesterov momentum: v ← μ v + g, θ ← θ − η (g + μ v) (PyTorch's convention).

    Parameters
    ----------
    learning_rate : float
        η > 0. With a constant gradient, the effective learning rate approaches η/(1 − μ), by default ten times η.
    momentum : float
        μ in [0, 1].
    weight_decay : float
        Decoupled weight decay, ≥ 0.
    """

    name = "nesterov"

    def rule(self) -> codes.Rule:
        """Return the settings for the kernels, without η."""
        return _descent(self.momentum, True, self.weight_decay)


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012): v ← ρ v + (1 − ρ) g², θ ← θ − η g/(√v + ε).

    ε is outside the square root, as in PyTorch; in Keras it is inside.

    Parameters
    ----------
    learning_rate : float
        η > 0. PyTorch's default is 0.01.
    rho : float
        Decay rate ρ of v, in [0, 1). PyTorch calls it alpha, with the default 0.99; the authors and Keras use 0.9.
    epsilon : float
        ε > 0.
    weight_decay : float
        Decoupled weight decay, ≥ 0.
    """

    name = "rmsprop"

    learning_rate: float = 1e-3
    rho: float = 0.9
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def rule(self) -> codes.Rule:
        """Return the settings for the kernels, without η."""
        return codes.Rule(codes.RMSPROP, 0.0, self.rho, self.epsilon, self.weight_decay)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011): v ← v + g², θ ← θ − η g/(√v + ε).

    ε is outside the square root and v starts at 0, as in PyTorch. In Keras, ε is inside and v starts at 0.1.

    Parameters
    ----------
    learning_rate : float
        η > 0. Keras's default is 0.001.
    epsilon : float
        ε > 0.
    weight_decay : float
        Decoupled weight decay, ≥ 0.
    """

    name = "adagrad"

    learning_rate: float = 0.01
    epsilon: float = 1e-10
    weight_decay: float = 0.0

    def rule(self) -> codes.Rule:
        """Return the settings for the kernels, without η."""
        return codes.Rule(codes.ADAGRAD, 0.0, 0.0, self.epsilon, self.weight_decay)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), algorithm 1.

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − η/(1 − β₁ᵗ) · m/(√v/√(1 − β₂ᵗ) + ε).

    ε is added to the bias-corrected root, as in the paper's algorithm and in PyTorch. Keras uses the form of section 2
    of the paper, where ε is added to √v.

    Parameters
    ----------
    learning_rate : float
        η > 0.
    beta_1, beta_2 : float
        Decay rates β₁ and β₂ of m and v, in [0, 1).
    epsilon : float
        ε > 0.
    weight_decay : float
        Decoupled weight decay, ≥ 0. With a value > 0 this is AdamW.
    """

    name = "adam"

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def rule(self) -> codes.Rule:
        """Return the settings for the kernels, without η."""
        return codes.Rule(codes.ADAM, self.beta_1, self.beta_2, self.epsilon, self.weight_decay)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), as PyTorch's AdamW.

    It applies Θ ← Θ − η · weight_decay · Θ, then `Adam`. PyTorch also decays the biases if you pass them to it.

    Parameters
    ----------
    learning_rate : float
        η > 0.
    beta_1, beta_2 : float
        Decay rates β₁ and β₂ of m and v, in [0, 1).
    epsilon : float
        ε > 0.
    weight_decay : float
        Decoupled weight decay, ≥ 0. Keras's default is 0.004.
    """

    name = "adamw"

    weight_decay: float = 0.01


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS on all samples at once (Liu & Nocedal 1989), by scipy. An epoch is one iteration.

    It suits small data: each iteration computes the gradient over all samples, once or a few times, in one thread. A
    line search finds the step size. There are no batches. A learning rate, a schedule, clipping, max_norm or dropout
    raises ValueError.

    Parameters
    ----------
    memory : int
        Number of past steps that approximate the curvature.
    tolerance : float
        Training stops when no component of the gradient of J is larger in absolute value.
    """

    name = "lbfgs"

    learning_rate: float = field(default=1.0, init=False, repr=False)  # scipy finds the step size
    memory: int = 10
    tolerance: float = 1e-5

    def rule(self) -> codes.Rule:
        """Return the rule of the kernels that compute the gradients for scipy."""
        return codes.Rule(codes.SGD, 0.0, 0.0, 0.0, 0.0)


OPTIMIZERS: dict[str, type[Any]] = {
    kind.name: kind for kind in (SGD, Momentum, Nesterov, RMSprop, Adagrad, Adam, AdamW, LBFGS)
}


def optimizer_of(value: Any) -> Optimizer:
    """Return an Optimizer, given one, or the name of one, which then has its default values."""
    if isinstance(value, Optimizer):
        return value
    if isinstance(value, str):
        return OPTIMIZERS[_checks.one_of("optimizer", value, OPTIMIZERS)]()
    expected = f"one of {', '.join(map(repr, OPTIMIZERS))}, or an Optimizer"
    raise TypeError(_checks.wrong("optimizer", expected, _checks.kind_shown(value, Optimizer)))


def limits(l1: Any, l2: Any, clip_value: Any, clip_norm: Any, max_norm: Any, dtype: np.dtype[Any]) -> codes.Bounds:
    """Return the penalties and limits of an update in the kernels' form."""
    penalties = {"l1": l1, "l2": l2}
    bounds = {"clip_value": clip_value, "clip_norm": clip_norm, "max_norm": max_norm}
    return codes.Bounds(
        *(_checks.real(name, size, minimum=0, dtype=dtype) for name, size in penalties.items()),
        *(_checks.limit(name, size, dtype=dtype) for name, size in bounds.items()),
    )
