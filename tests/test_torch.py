"""The reference and fastbp equal PyTorch, where it is installed: it is no dependency, not even of the tests.

Gradients of every formula, and the weights after 50 mini-batches with each optimizer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from fastbp import losses, optimizers, reference

from .cases import ACTIVATIONS, CASES, DTYPES, OUTPUTS, RULES, Case, Rule, assert_close, parameter_of
from .optional import Package, needs

torch, F = Package("torch"), Package("torch.nn.functional")
pytestmark = needs("torch", "PyTorch")

ROWS = [case for case in CASES if case.dtype == "float64" and case.sizes == (7, 9, 5)]
ABSOLUTE = {"float32": 1e-5, "float64": 1e-9}  # of weights, after 50 steps
EPOCHS, BATCH_SIZE, N = 5, 8, 77  # 10 batches, of which the last is short
SIZES, TINY = (7, 21, 5), (4, 8, 3)  # plain descent of the second goes through small.py, where it can


@cache
def functions() -> dict[str, Callable[[Any], Any]]:
    """The activations by their names."""
    return {
        "identity": lambda z: z,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
        "softmax": lambda z: torch.softmax(z, 1),
        "leaky_relu": F.leaky_relu,
        "elu": F.elu,
        "selu": F.selu,
        "gelu": F.gelu,
        "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
        "silu": F.silu,
        "mish": F.mish,
        "softplus": F.softplus,
        "softsign": F.softsign,
        "hard_sigmoid": lambda z: F.relu6(z + 3) / 6,  # F.hardsigmoid differentiates by a sixth in float32
        "hard_tanh": F.hardtanh,
        "exponential": torch.exp,
    }


def each_loss(z, a, y, loss: str, parameter=None, label_smoothing=0.0):
    """ℓ of each sample, (m,), from zᴸ, aᴸ and y."""
    if loss == "cross_entropy":
        return F.cross_entropy(z, y, reduction="none", label_smoothing=label_smoothing)
    if loss == "squared_error":
        values = F.mse_loss(a, y, reduction="none") / 2
    elif loss == "absolute_error":
        values = F.l1_loss(a, y, reduction="none")
    elif loss == "huber":
        values = F.huber_loss(a, y, reduction="none", delta=1.0 if parameter is None else parameter)
    elif loss == "quantile":  # PyTorch has none, but differentiates this
        q = torch.tensor(0.5 if parameter is None else parameter, dtype=a.dtype)
        values = torch.maximum(q * (y - a), (q - 1) * (y - a))
    elif loss == "hinge":
        values = F.margin_ranking_loss(a, torch.zeros_like(a), y, margin=1, reduction="none")
    elif loss == "binary_cross_entropy":
        values = F.binary_cross_entropy_with_logits(z, y, reduction="none")
    else:
        values = F.poisson_nll_loss(z, y, reduction="none")
    return values.sum(1)


def optimizer_of(rule: Rule, groups: list[dict[str, object]]):
    """torch.optim's, for groups of parameters that have their own weight decay."""
    options = {name: value for name, value in rule.options if name != "weight_decay"}
    if "rho" in options:
        options = {"alpha": options["rho"], "eps": options["epsilon"]}
    elif "beta_1" in options:
        options = {"betas": (options["beta_1"], options["beta_2"]), "eps": options["epsilon"]}
    elif "epsilon" in options:
        options = {"eps": options["epsilon"]}
    kinds = {"Momentum": torch.optim.SGD, "Nesterov": torch.optim.SGD}
    kind = kinds[rule.kind] if rule.kind in kinds else getattr(torch.optim, rule.kind)
    if rule.kind == "Nesterov":
        options["nesterov"] = True
    return kind(groups, lr=rule.learning_rate, **options)


class Model:
    """The same network in PyTorch, from the same weights."""

    def __init__(self, weights: Sequence[np.ndarray], biases: Sequence[np.ndarray], activations: Sequence[str]) -> None:
        self.weights, self.biases = (
            [torch.tensor(np.array(parameter), requires_grad=True) for parameter in parameters]
            for parameters in (weights, biases)
        )
        self.activations = activations

    def cost(self, X, y, loss: str, *, sample_weight=None, l2: float = 0.0, **loss_options):
        """J of a batch."""
        a = X
        for theta, b, name in zip(self.weights, self.biases, self.activations, strict=True):
            z = F.linear(a, theta, b)
            a = functions()[name](z)
        values = each_loss(z, a, y, loss, **loss_options)
        J = values.mean() if sample_weight is None else (sample_weight * values).sum() / sample_weight.sum()
        return J + l2 / 2 * sum((theta**2).sum() for theta in self.weights)

    def optimizer(self, rule: Rule):
        """torch.optim's. PyTorch's AdamW decays all that it is given, and ours no biases: hence the two groups."""
        decay = dict(rule.options).get("weight_decay", 0.0)
        groups = [{"params": self.weights, "weight_decay": decay}, {"params": self.biases, "weight_decay": 0.0}]
        return optimizer_of(rule, groups)

    def train(self, X, y, loss: str, rule: Rule, *, sample_weight=None, clip_value=None, clip_norm=None, **options):
        """All the epochs, without shuffling."""
        X, y = torch.tensor(X), torch.tensor(y)
        w = None if sample_weight is None else torch.tensor(sample_weight, dtype=X.dtype)
        optimizer, parameters = self.optimizer(rule), [*self.weights, *self.biases]
        for start in [*range(0, len(X), BATCH_SIZE)] * EPOCHS:
            batch = slice(start, start + BATCH_SIZE)
            optimizer.zero_grad()
            self.cost(X[batch], y[batch], loss, sample_weight=None if w is None else w[batch], **options).backward()
            if clip_value is not None:
                torch.nn.utils.clip_grad_value_(parameters, clip_value)
            if clip_norm is not None:
                norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters])
                # PyTorch divides by norm + 1e-6, which would be all the difference that there is.
                torch.nn.utils.clip_grad_norm_(parameters, clip_norm * (1 + 1e-6 / norm))
            optimizer.step()

    def gradients(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [theta.grad.numpy() for theta in self.weights], [b.grad.numpy() for b in self.biases]

    def numbers(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return [theta.detach().numpy() for theta in self.weights], [b.detach().numpy() for b in self.biases]


def assert_all_close(actual, expected, tolerance: float) -> None:
    for name, got, wanted in zip(("weights", "biases"), actual, expected, strict=True):
        for l, (x, y) in enumerate(zip(got, wanted, strict=True)):
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance, err_msg=f"{name}[{l}]")


# The reference


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_reference_activations_equal_pytorch(name):
    rng = np.random.default_rng(0)
    z = torch.tensor(np.concatenate([rng.normal(0, 1, (200, 5)), rng.uniform(-18, 18, (200, 5))]), requires_grad=True)
    upper = rng.normal(size=z.shape)
    a = functions()[name](z)
    a.backward(torch.tensor(upper))
    values = z.detach().numpy()
    np.testing.assert_allclose(reference.activation(values, name), a.detach().numpy(), rtol=1e-11, atol=1e-13)
    got = reference.through_activation(upper, values, name)
    np.testing.assert_allclose(got, z.grad.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_reference_gradients_equal_pytorch(case):
    weights, biases, activations = case.parameters()
    X, y = case.data()
    w = np.random.default_rng(5).uniform(0, 2, case.n)
    options = {"parameter": case.parameter, "l2": 0.1, "sample_weight": w}
    J, dW, db = reference.gradients(weights, biases, activations, X, y, case.loss, **options)
    model = Model(weights, biases, activations)
    options["sample_weight"] = torch.tensor(w)
    expected = model.cost(torch.tensor(X), torch.tensor(y), case.loss, **options)
    expected.backward()
    np.testing.assert_allclose(J, expected.item(), rtol=1e-12)
    assert_all_close((dW, db), model.gradients(), 1e-13)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_reference_optimizers_equal_pytorch(rule):
    case = Case((4, 8, 3), "tanh", n=N)
    weights, biases, activations = case.parameters()
    X, y = case.data()
    model, state = Model(weights, biases, activations), {}
    options = {"clip_value": 0.02, "clip_norm": 0.05, "l2": 0.01}
    for _ in range(EPOCHS):
        more = rule.for_reference() | options
        reference.train_epoch(weights, biases, activations, X, y, batch_size=BATCH_SIZE, state=state, **more)
    model.train(X, y, case.loss, rule, **options)
    assert_all_close((weights, biases), model.numbers(), 1e-12)


# fastbp


@pytest.mark.parametrize("case", ROWS, ids=str)
def test_gradients_equal_pytorch(case):
    trainer = case.trainer()
    X, y = case.data()
    model = Model(trainer.weights, trainer.biases, trainer.network.activations)
    J = model.cost(torch.tensor(X), torch.tensor(y), case.loss, parameter=case.parameter)
    J.backward()
    weights, biases = model.gradients()
    got = trainer.gradients(X, y)
    np.testing.assert_allclose(got.loss, J.item(), rtol=1e-12)
    for l in range(len(weights)):
        assert_close(got.weights[l], weights[l], 1e-10, f"weights[{l}]")
        if case.use_bias:
            assert_close(got.biases[l], biases[l], 1e-10, f"biases[{l}]")


def assert_trains_as_pytorch(
    case: Case, rule: Rule, *, trainer_options=None, model_options=None, fit_options=None, **options
) -> None:
    """Weights and biases after 50 steps; what both sides call alike is in options and, for Trainer.fit, fit_options."""
    case, fit_options = replace(case, n=N), fit_options or {}
    trainer_options = {"optimizer": rule.optimizer(), "batch_size": BATCH_SIZE, "epsilon": 0.5} | (
        trainer_options or {}
    )
    trainer = case.trainer(**trainer_options, **options)
    X, y = case.data()
    model = Model(trainer.weights, trainer.biases, trainer.network.activations)
    start, _ = model.numbers()
    start = start[0].copy()
    model_options = {"parameter": case.parameter} | (model_options or {})
    model.train(X, y, case.loss, rule, **model_options, **fit_options, **options)
    trainer.fit(X, y, epochs=EPOCHS, verbose=0, **fit_options)
    expected = model.numbers()
    assert_all_close((trainer.weights, trainer.biases), expected, ABSOLUTE[case.dtype])
    assert abs(expected[0][0] - start).max() > 1e-3  # it has moved by more than the tolerance forgives


over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
over_rules = pytest.mark.parametrize(("rule", "sizes"), [(rule, SIZES) for rule in RULES] + [(RULES[0], TINY)], ids=str)
# Descent in the kernel itself, and a pass after it: for what goes the same way with every rule
over_ways = pytest.mark.parametrize(
    ("rule", "sizes"), [(RULES[0], SIZES), (RULES[0], TINY), (RULES[-1], SIZES)], ids=str
)


def gentle(rule: Rule, name: str) -> Rule:
    """With a smaller η where gradients grow as e^z does."""
    return replace(rule, learning_rate=rule.learning_rate / 10) if name == "exponential" else rule


@over_dtypes
@over_ways
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_training_with_each_activation_equals_pytorch(name, rule, sizes, dtype):
    """In the hidden layer and at the output: but softmax is no hidden one, and e to the e^z would be chaotic."""
    hidden, output = "tanh" if name == "softmax" else name, "identity" if name == "exponential" else name
    assert_trains_as_pytorch(Case(sizes, hidden, output, dtype=dtype), gentle(rule, name))


@over_dtypes
@over_ways
@pytest.mark.parametrize("loss", sorted(OUTPUTS))
def test_training_with_each_loss_equals_pytorch(loss, rule, sizes, dtype):
    output = OUTPUTS[loss][0]
    case = Case(sizes, "tanh", output, loss, dtype, parameter=parameter_of(loss, sizes[-1]))
    assert_trains_as_pytorch(case, gentle(rule, output))


@over_dtypes
@over_rules
@pytest.mark.parametrize(
    "options",
    [{"clip_norm": 0.05}, {"clip_value": 0.01}, {"l2": 0.1}, {"clip_norm": 0.05, "clip_value": 0.01, "l2": 0.1}],
)
def test_training_within_limits_equals_pytorch(options, rule, sizes, dtype):
    assert_trains_as_pytorch(Case(sizes, "tanh", "softmax", "cross_entropy", dtype), rule, **options)


@over_dtypes
@over_ways
@pytest.mark.parametrize("loss", ["squared_error", "cross_entropy", "quantile"])
def test_training_with_sample_weights_equals_pytorch(loss, rule, sizes, dtype):
    case = Case(sizes, "tanh", OUTPUTS[loss][-1], loss, dtype, parameter=parameter_of(loss, sizes[-1]))
    assert_trains_as_pytorch(case, rule, fit_options={"sample_weight": np.random.default_rng(5).uniform(0, 2, N)})


@over_dtypes
@over_ways
def test_training_with_label_smoothing_equals_pytorch(rule, sizes, dtype):
    case = Case(sizes, "tanh", "softmax", "cross_entropy", dtype)
    trainer_options = {"loss": losses.CrossEntropy(label_smoothing=0.2)}
    assert_trains_as_pytorch(case, rule, trainer_options=trainer_options, model_options={"label_smoothing": 0.2})


@over_dtypes
def test_class_numbers_are_smoothed_too(dtype):
    """As one-hot rows are, which equal PyTorch's above."""
    case = Case(SIZES, "tanh", "softmax", "cross_entropy", dtype, n=N)
    X, y = case.data()
    one, other = (case.trainer(loss=losses.CrossEntropy(label_smoothing=0.2)) for _ in range(2))
    one.fit(X, y, verbose=0)
    other.fit(X, y.argmax(1), verbose=0)
    assert_all_close((one.weights, one.biases), (other.weights, other.biases), ABSOLUTE[dtype])


@over_dtypes
@over_rules
def test_training_with_dropout_off_equals_pytorch(rule, sizes, dtype):
    case = Case(sizes, "tanh", "softmax", "cross_entropy", dtype)
    assert_trains_as_pytorch(case, rule, trainer_options={"dropout": 0.0})


def test_class_weights_equal_pytorch_without_label_smoothing():
    case = Case(SIZES, "tanh", "softmax", "cross_entropy", "float64", n=N)
    trainer = case.trainer(batch_size=N)
    X, y = case.data()
    labels, w = y.argmax(1), np.array([1, 5, 0.5, 2, 0])
    expected = F.cross_entropy(logits(trainer, X), torch.tensor(labels), weight=torch.tensor(w)).item()
    for targets in (labels, y):
        copy = case.trainer(batch_size=N)
        J = copy.fit(X, targets, class_weight=dict(enumerate(w)), verbose=0)["loss"][0]
        np.testing.assert_allclose(J, expected, rtol=1e-12)


def test_class_weights_with_label_smoothing_multiply_a_samples_whole_loss():
    """As in Keras; PyTorch's differ, as docs/from-pytorch.md says."""
    case = Case(SIZES, "tanh", "softmax", "cross_entropy", "float64", n=N)
    smoothed = losses.CrossEntropy(label_smoothing=0.2)
    X, y = case.data()
    labels, w = y.argmax(1), torch.tensor([1, 5, 0.5, 2, 0.25], dtype=torch.float64)
    trainer, target = case.trainer(batch_size=N, loss=smoothed), torch.tensor(labels)
    z = logits(trainer, X)
    each = F.cross_entropy(z, target, label_smoothing=0.2, reduction="none")
    expected = (w[target] * each).sum() / w[target].sum()
    J = trainer.fit(X, labels, class_weight=dict(enumerate(w.tolist())), verbose=0)["loss"][0]
    np.testing.assert_allclose(J, expected.item(), rtol=1e-12)
    log_a = torch.log_softmax(z, 1)
    theirs = (-0.8 * w[target] * log_a[range(N), target] - 0.2 / 5 * (w * log_a).sum(1)).sum() / w[target].sum()
    pytorch = F.cross_entropy(z, target, weight=w, label_smoothing=0.2)
    np.testing.assert_allclose(pytorch.item(), theirs.item(), rtol=1e-12)
    assert abs(pytorch - expected) > 0.01


def logits(trainer, X):
    """zᴸ of a network of tanh."""
    first, last = (torch.tensor(np.array(theta)) for theta in trainer.weights)
    b, c = (torch.tensor(np.array(bias)) for bias in trainer.biases)
    return torch.tanh(torch.tensor(X) @ first.T + b) @ last.T + c


@pytest.mark.parametrize(
    ("name", "differs"), [("SGD", {"lr"}), ("RMSprop", {"lr", "rho"}), ("Adagrad", ()), ("Adam", ()), ("AdamW", ())]
)
def test_default_values_are_pytorchs_but_for_those_that_the_page_names(name, differs):
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    theirs = {key: parameter.default for key, parameter in theirs.items()}
    theirs["beta_1"], theirs["beta_2"] = theirs.pop("betas", (None, None))
    names = {"learning_rate": "lr", "epsilon": "eps", "rho": "alpha"}
    ours = getattr(optimizers, name)()
    pairs = {
        names.get(item.name, item.name): (getattr(ours, item.name), theirs[names.get(item.name, item.name)])
        for item in fields(ours)
    }
    different = {key.replace("alpha", "rho") for key, (one, other) in pairs.items() if one != other}
    assert different == set(differs)
