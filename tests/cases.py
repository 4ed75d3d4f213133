"""THE table: which networks, activations, losses, optimizers, dtypes and batches the tests go over."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np

from fastbp import Trainer, distributed, losses, optimizers, reference

KERAS_BACKEND = "numpy" if find_spec("jax") else "torch"  # Keras's NumPy backend needs JAX


def name_of_check(value: Any) -> str:
    """Return the same name in each process, for one of scikit-learn's checks or for the estimator that it gets."""
    return getattr(value, "func", value).__name__ if callable(value) else type(value).__name__


def named(case: Any) -> str:
    """A test's name for a case, the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(case))


HIDDEN = (
    "identity",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "hard_sigmoid",
    "hard_tanh",
    "exponential",
)
ACTIVATIONS = (*HIDDEN, "softmax")
OUTPUTS = {
    "squared_error": ACTIVATIONS,
    "absolute_error": ACTIVATIONS,
    "huber": ACTIVATIONS,
    "quantile": ACTIVATIONS,
    "hinge": ACTIVATIONS,
    "cross_entropy": ("softmax",),
    "binary_cross_entropy": ("sigmoid",),
    "poisson": ("exponential",),
}
# Where f′ jumps: on which side a z falls may be a matter of rounding.
KINKS = {"relu": (0,), "leaky_relu": (0,), "selu": (0,), "hard_sigmoid": (-3, 3), "hard_tanh": (-1, 1)}
DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}  # relative, of gradients

# Depth 2 to 8; odd sizes, and sizes about a vector of 4, 8 and 16 lanes and twice that.
ARCHITECTURES = (
    (1, 1),
    (3, 2),
    (2, 2, 1),
    (1, 1, 1),
    (4, 8, 3),
    (7, 9, 5),
    (15, 16, 17),
    (16, 15, 2),
    (33, 31, 32, 1),
    (30, 16, 2),
    (64, 32, 10),
    (20, 67, 10),
    (70, 69, 70),
    (5, 4, 3, 4, 5),
    (9, 8, 7, 6, 5, 4, 3, 2),
)


@dataclass(frozen=True)
class Rule:
    """An optimizer with hyperparameters that aren't its defaults, and an η that suits it."""

    kind: str  # the class in fastbp.optimizers
    formula: str  # in reference.update
    learning_rate: float
    options: tuple[tuple[str, float], ...] = ()  # by names that both share

    def optimizer(self) -> optimizers.Optimizer:
        return getattr(optimizers, self.kind)(learning_rate=self.learning_rate, **dict(self.options))

    def for_reference(self) -> dict[str, Any]:
        """As reference.train_epoch takes it."""
        return {"optimizer": self.formula, "learning_rate": self.learning_rate, **dict(self.options)}

    def __str__(self) -> str:
        return self.kind


ADAM = (("beta_1", 0.8), ("beta_2", 0.95), ("epsilon", 1e-3))
RULES = (
    Rule("SGD", "sgd", 0.3),
    Rule("Momentum", "momentum", 0.05, (("momentum", 0.8),)),
    Rule("Nesterov", "nesterov", 0.05, (("momentum", 0.8),)),
    Rule("RMSprop", "rmsprop", 0.01, (("rho", 0.8), ("epsilon", 1e-3))),
    Rule("Adagrad", "adagrad", 0.05, (("epsilon", 1e-3),)),
    Rule("Adam", "adam", 0.01, ADAM),
    Rule("AdamW", "adam", 0.01, (*ADAM, ("weight_decay", 0.2))),
)


def log_cosh(a, y):
    """A loss of one's own: ℓ of an output, and ∂ℓ/∂a."""
    return math.log(math.cosh(a - y)), math.tanh(a - y)


@dataclass(frozen=True)
class Case:
    """One row: a network and a batch for it."""

    sizes: tuple[int, ...]
    hidden: str = "sigmoid"
    output: str = "sigmoid"
    loss: reference.Loss = "squared_error"
    dtype: str = "float64"
    n: int = 11
    use_bias: bool = True
    seed: int = 0
    parameter: float | tuple[float, ...] | None = None  # huber's delta, or quantile's q of each output

    @property
    def epsilon(self) -> float:
        """Of first weights that take some z beyond the kinks."""
        return 2.4 if self.hidden.startswith("hard_") else 0.8

    @property
    def learning_rate(self) -> float:
        """Small where e^z in the gradient would make training chaotic."""
        return 0.03 if "exponential" in (self.hidden, self.output) else 0.3

    @property
    def activations(self) -> tuple[str, ...]:
        return (self.hidden,) * (len(self.sizes) - 2) + (self.output,)

    def trainer(self, **options) -> Trainer:
        loss: Any = self.loss
        if self.parameter is not None:
            loss = losses.Huber(delta=self.parameter) if loss == "huber" else losses.Quantile(self.parameter)
        options = {
            "activation": self.hidden,
            "output_activation": self.output,
            "loss": loss,
            "epsilon": self.epsilon,
            "seed": self.seed,
            "shuffle": False,
        } | options
        if "optimizer" not in options:
            options.setdefault("learning_rate", self.learning_rate)
        return Trainer(self.sizes, dtype=self.dtype, use_bias=self.use_bias, **options)

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """X (n, n_1) and y (n, n_L), of the case's dtype; y as the loss wants it."""
        rng = np.random.default_rng(self.seed + 1)
        shape = (self.n, self.sizes[-1])
        X = rng.uniform(-1, 1, (self.n, self.sizes[0]))
        if self.loss == "cross_entropy":
            y = np.eye(shape[1])[rng.integers(0, shape[1], self.n)]
        elif self.loss == "binary_cross_entropy":
            y = rng.integers(0, 2, shape)
        elif self.loss == "hinge":
            y = 2 * rng.integers(0, 2, shape) - 1
        elif self.loss == "poisson":
            y = rng.poisson(1.5, shape)
        else:
            y = rng.uniform(0, 1, shape)
        return X.astype(self.dtype), y.astype(self.dtype)

    def parameters(self) -> tuple[list[np.ndarray], list[np.ndarray], tuple[str, ...]]:
        """Weights, biases and activations, as `reference` takes them, of a network that no trainer has made."""
        rng = np.random.default_rng(self.seed + 2)
        shapes = list(zip(self.sizes[1:], self.sizes[:-1], strict=True))
        weights = [rng.uniform(-self.epsilon, self.epsilon, shape) for shape in shapes]
        biases = [rng.uniform(-self.epsilon, self.epsilon, n) * self.use_bias for n, _ in shapes]
        return weights, biases, self.activations

    def __str__(self) -> str:
        bias = "" if self.use_bias else "-nobias"
        sizes = "-".join(map(str, self.sizes))
        loss = self.loss if self.parameter is None else f"{self.loss}({self.parameter})"
        return f"{sizes}-{self.hidden}-{self.output}-{loss}-{self.dtype}-n{self.n}{bias}"


def parameter_of(loss: str, n_outputs: int) -> float | tuple[float, ...] | None:
    """One that isn't the loss's default."""
    if loss == "huber":
        return 0.3
    return tuple(np.linspace(0.1, 0.9, n_outputs).round(3).tolist()) if loss == "quantile" else None


def _rows() -> list[Case]:
    curves = [Case((7, 9, 5), hidden) for hidden in HIDDEN]
    formulas = [
        Case((7, 9, 5), "sigmoid", output, loss, parameter=parameter_of(loss, 5))
        for loss, outputs in OUTPUTS.items()
        for output in outputs
    ]
    names = [Case((7, 9, 5), "sigmoid", "identity", loss) for loss in ("huber", "quantile")]  # with their defaults
    shapes = [
        Case(sizes, hidden, "sigmoid", n=n, use_bias=use_bias)
        for (sizes, n), (hidden, use_bias) in product(
            zip(ARCHITECTURES, (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100), strict=True),
            (("sigmoid", True), ("tanh", False)),
        )
    ]
    digits = [Case((64, 32, 10), "relu", "softmax", "cross_entropy", n=300)]  # more than one block
    rows = dict.fromkeys([*curves, *formulas, *names, *shapes, *digits])  # each once
    return [replace(row, dtype=dtype) for row in rows for dtype in DTYPES]


CASES = _rows()


def as_reference(trainer: Trainer) -> tuple[list[np.ndarray], list[np.ndarray], tuple[str, ...]]:
    """The trainer's weights and biases as float64 copies, and its activations, as `reference` takes them."""
    weights = [theta.astype(np.float64) for theta in trainer.weights]
    biases = [b.astype(np.float64) for b in trainer.biases]
    return weights, biases, trainer.network.activations


def reference_gradients(case: Case, trainer: Trainer, X, y, **options):
    """J and the gradients that the case's trainer should give; options as reference.gradients takes them."""
    weights, biases, activations = as_reference(trainer)
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
    options = {"parameter": case.parameter} | options
    J, dW, db = reference.gradients(weights, biases, activations, X, y, case.loss, **options)
    return J, dW, db if case.use_bias else [np.zeros_like(b) for b in db]


def distance_to_kinks(case: Case, trainer: Trainer, X, y) -> float:
    """How near the nearest z or a of a batch comes to where a derivative jumps."""
    weights, biases, activations = as_reference(trainer)
    z, a = reference.forward(weights, biases, activations, np.asarray(X, np.float64))
    distances = [abs(layer - kink) for layer, name in zip(z, activations, strict=True) for kink in KINKS.get(name, ())]
    if case.loss in ("absolute_error", "quantile"):
        distances.append(abs(a[-1] - y))
    if case.loss == "hinge":
        distances.append(abs(1 - a[-1] * y))
    return min((float(distance.min()) for distance in distances), default=np.inf)


def assert_close(actual, expected, tolerance: float, what: str, terms=None) -> None:
    """Relative to the largest number of the array, so that sums which cancel don't count as wrong.

    Or to the largest of `terms`: what is added up to `expected`, without signs.
    """
    scale = max(float(np.abs(expected if terms is None else terms).max(initial=0)), 1e-30)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, err_msg=what)


class OneOfOne:
    """A communicator of one process."""

    def Get_rank(self) -> int:
        return 0

    def Get_size(self) -> int:
        return 1

    def Allreduce(self, sent: None, received: np.ndarray) -> None:
        """In place, there is nothing to add."""

    def Bcast(self, array: np.ndarray, root: int) -> None:
        """It is here."""

    def bcast(self, value: Any, root: int) -> Any:
        return value

    def gather(self, value: Any, root: int = 0) -> list[Any]:
        return [value]

    allgather = gather


def one_of_one(trainer: Trainer) -> Trainer:
    """The trainer, which takes the ways of an MPI job without others."""
    trainer._state.ranks = distributed.Ranks(OneOfOne())
    return trainer
