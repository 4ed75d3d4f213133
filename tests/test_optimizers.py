"""The records of optimizers: what they hand the kernels, and what they refuse."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from fastbp._kernels import codes
from fastbp.optimizers import (
    LBFGS,
    OPTIMIZERS,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    Optimizer,
    RMSprop,
    optimizer_of,
)

ALL = [SGD, Momentum, Nesterov, RMSprop, Adagrad, Adam, AdamW]

# optimizer, its rule, numbers kept for each parameter, repr
RECORDS = {
    "sgd": (
        SGD(),
        codes.Rule(codes.SGD, 0.0, 0.0, 0.0, 0.0),
        0,
        "SGD(learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)",
    ),
    "sgd with momentum": (
        SGD(0.5, momentum=0.75, weight_decay=0.25),
        codes.Rule(codes.MOMENTUM, 0.75, 0.0, 0.0, 0.25),
        1,
        "SGD(learning_rate=0.5, momentum=0.75, nesterov=False, weight_decay=0.25)",
    ),
    "sgd with Nesterov's": (
        SGD(1, 0.5, nesterov=True),
        codes.Rule(codes.NESTEROV, 0.5, 0.0, 0.0, 0.0),
        1,
        "SGD(learning_rate=1.0, momentum=0.5, nesterov=True, weight_decay=0.0)",
    ),
    "momentum": (
        Momentum(),
        codes.Rule(codes.MOMENTUM, 0.9, 0.0, 0.0, 0.0),
        1,
        "Momentum(learning_rate=0.1, momentum=0.9, weight_decay=0.0)",
    ),
    "no momentum": (
        Momentum(momentum=0, weight_decay=0.5),
        codes.Rule(codes.SGD, 0.0, 0.0, 0.0, 0.5),
        0,
        "Momentum(learning_rate=0.1, momentum=0.0, weight_decay=0.5)",
    ),
    "nesterov": (
        Nesterov(),
        codes.Rule(codes.NESTEROV, 0.9, 0.0, 0.0, 0.0),
        1,
        "Nesterov(learning_rate=0.1, momentum=0.9, weight_decay=0.0)",
    ),
    "rmsprop": (
        RMSprop(),
        codes.Rule(codes.RMSPROP, 0.0, 0.9, 1e-8, 0.0),
        1,
        "RMSprop(learning_rate=0.001, rho=0.9, epsilon=1e-08, weight_decay=0.0)",
    ),
    "adagrad": (
        Adagrad(),
        codes.Rule(codes.ADAGRAD, 0.0, 0.0, 1e-10, 0.0),
        1,
        "Adagrad(learning_rate=0.01, epsilon=1e-10, weight_decay=0.0)",
    ),
    "adam": (
        Adam(),
        codes.Rule(codes.ADAM, 0.9, 0.999, 1e-8, 0.0),
        2,
        "Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-08, weight_decay=0.0)",
    ),
    "adamw": (
        AdamW(beta_1=np.float64(0.5)),
        codes.Rule(codes.ADAM, 0.5, 0.999, 1e-8, 0.01),
        2,
        "AdamW(learning_rate=0.001, beta_1=0.5, beta_2=0.999, epsilon=1e-08, weight_decay=0.01)",
    ),
}


@pytest.mark.parametrize(("record", "rule", "n_moments", "text"), RECORDS.values(), ids=RECORDS.keys())
def test_rule_moments_and_repr(record, rule, n_moments, text):
    assert record.rule() == rule
    assert record.n_moments == n_moments
    assert repr(record) == text
    assert eval(text) == record


@pytest.mark.parametrize("kind", ALL)
def test_names(kind):
    assert OPTIMIZERS[kind.name] is kind
    assert optimizer_of(kind.name) == kind()
    assert type(optimizer_of(kind.name)) is kind
    assert kind().name == kind.name == kind.__name__.lower()
    assert set(OPTIMIZERS.values()) == {*ALL, LBFGS}


def test_an_optimizer_is_taken_as_it_is():
    mine = Adam(learning_rate=0.5)
    assert optimizer_of(mine) is mine


@pytest.mark.parametrize("kind", ALL)
def test_records_are_frozen_values(kind):
    record = kind(learning_rate=0.25)
    with pytest.raises(FrozenInstanceError):
        record.learning_rate = 0.5
    assert record == kind(0.25)
    assert hash(record) == hash(kind(0.25))
    assert record != kind(0.5)
    assert record != replace(record, weight_decay=0.125)
    assert all(record != other(0.25) for other in ALL if other is not kind)
    copy = pickle.loads(pickle.dumps(record))
    assert copy == record
    assert type(copy) is kind


def test_the_base_is_no_optimizer():
    with pytest.raises(TypeError, match="abstract"):
        Optimizer(0.1)


NAN = float("nan")
AVERAGES = [(RMSprop, "rho")]
AVERAGES += [(kind, name) for kind in (Adam, AdamW) for name in ("beta_1", "beta_2")]
POSITIVE = [(kind, "learning_rate") for kind in ALL]
POSITIVE += [(kind, "epsilon") for kind in (RMSprop, Adagrad, Adam, AdamW)]


def refused(error, message, kind, name, value):
    with pytest.raises(error) as caught:
        kind(**{name: value})
    assert str(caught.value) == f"{name}: expected {message}"


@pytest.mark.parametrize(("kind", "name"), POSITIVE)
def test_what_must_be_positive(kind, name):
    refused(ValueError, "a finite number > 0, got 0", kind, name, 0)
    refused(ValueError, "a finite number > 0, got -0.5", kind, name, -0.5)
    refused(ValueError, "a finite number > 0, got nan", kind, name, NAN)
    refused(ValueError, "a finite number > 0, got inf", kind, name, float("inf"))
    refused(TypeError, "a finite number > 0, got '0.1'", kind, name, "0.1")
    refused(TypeError, "a finite number > 0, got True", kind, name, True)
    refused(TypeError, "a finite number > 0, got None (NoneType)", kind, name, None)


@pytest.mark.parametrize(("kind", "name"), AVERAGES)
def test_what_must_be_below_one(kind, name):
    refused(ValueError, "a number in [0, 1), got 1", kind, name, 1)
    refused(ValueError, "a number in [0, 1), got 1.5", kind, name, 1.5)
    refused(ValueError, "a finite number ≥ 0, got -0.5", kind, name, -0.5)
    refused(ValueError, "a finite number ≥ 0, got nan", kind, name, NAN)
    refused(TypeError, "a finite number ≥ 0, got [0.5] (list)", kind, name, [0.5])
    assert getattr(kind(**{name: 0}), name) == 0


@pytest.mark.parametrize("kind", [SGD, Momentum, Nesterov])
def test_momentum_is_at_most_one_as_in_scikit_learn_and_keras(kind):
    assert kind(momentum=1).momentum == 1
    assert kind(momentum=0).momentum == 0
    refused(ValueError, "a number in [0, 1], got 1.5", kind, "momentum", 1.5)
    refused(ValueError, "a finite number ≥ 0, got -0.5", kind, "momentum", -0.5)
    refused(ValueError, "a finite number ≥ 0, got nan", kind, "momentum", NAN)
    refused(TypeError, "a finite number ≥ 0, got [0.5] (list)", kind, "momentum", [0.5])


@pytest.mark.parametrize("kind", ALL)
def test_weight_decay(kind):
    refused(ValueError, "a finite number ≥ 0, got -0.5", kind, "weight_decay", -0.5)
    assert kind(weight_decay=2).rule().weight_decay == 2


def test_nesterov_needs_momentum():
    refused(TypeError, "True or False, got 1", SGD, "nesterov", 1)
    with pytest.raises(ValueError, match=r"^momentum: expected a number > 0 with nesterov=True, got 0$"):
        SGD(nesterov=True)


LIST = "'sgd', 'momentum', 'nesterov', 'rmsprop', 'adagrad', 'adam', 'adamw', 'lbfgs'"
NO_OPTIMIZERS = {
    "a near miss": ("Adam", ValueError, "got 'Adam'; did you mean 'adam'?"),
    "a far miss": ("newton", ValueError, "'sgd', got 'newton'"),
    "a class": (AdamW, TypeError, f"{LIST}, or an Optimizer, got the class AdamW; write AdamW()"),
    "another class": (int, TypeError, "or an Optimizer, got <class 'int'> (type)"),
    "a number": (0.1, TypeError, "or an Optimizer, got 0.1 (float)"),
    "None": (None, TypeError, "or an Optimizer, got None (NoneType)"),
}


@pytest.mark.parametrize(("value", "error", "message"), NO_OPTIMIZERS.values(), ids=NO_OPTIMIZERS.keys())
def test_what_is_no_optimizer(value, error, message):
    with pytest.raises(error) as caught:
        optimizer_of(value)
    assert str(caught.value).startswith("optimizer: expected one of '")
    assert str(caught.value).endswith(message)


def moved(record, theta, gradients):
    """θ after the updates that the rule stands for, in the words of the docstrings."""
    code, decay_1, decay_2, epsilon, weight_decay = record.rule()
    eta = record.learning_rate
    m, v = np.zeros((2, *theta.shape))
    for t, g in enumerate(gradients, 1):
        theta = theta - eta * weight_decay * theta
        if code == codes.SGD:
            theta = theta - eta * g
        elif code == codes.MOMENTUM:
            v = decay_1 * v + g
            theta = theta - eta * v
        elif code == codes.NESTEROV:
            v = decay_1 * v + g
            theta = theta - eta * (g + decay_1 * v)
        elif code == codes.RMSPROP:
            v = decay_2 * v + (1 - decay_2) * g**2
            theta = theta - eta * g / (np.sqrt(v) + epsilon)
        elif code == codes.ADAGRAD:
            v = v + g**2
            theta = theta - eta * g / (np.sqrt(v) + epsilon)
        elif code == codes.ADAM:
            m = decay_1 * m + (1 - decay_1) * g
            v = decay_2 * v + (1 - decay_2) * g**2
            root = np.sqrt(v) / np.sqrt(1 - decay_2**t)
            theta = theta - eta / (1 - decay_1**t) * m / (root + epsilon)
    return theta


# ours, the class in torch.optim, its arguments; epsilons are large, so that it matters where they stand
PEERS = {
    "sgd": (SGD(0.3), "SGD", {"lr": 0.3}),
    "momentum": (Momentum(0.2, momentum=0.7), "SGD", {"lr": 0.2, "momentum": 0.7}),
    "nesterov": (Nesterov(0.2, momentum=0.7), "SGD", {"lr": 0.2, "momentum": 0.7, "nesterov": True}),
    "rmsprop": (RMSprop(0.2, rho=0.7, epsilon=0.1), "RMSprop", {"lr": 0.2, "alpha": 0.7, "eps": 0.1}),
    "adagrad": (Adagrad(0.2, epsilon=0.1), "Adagrad", {"lr": 0.2, "eps": 0.1}),
    "adam": (Adam(0.2, 0.6, 0.8, 0.1), "Adam", {"lr": 0.2, "betas": (0.6, 0.8), "eps": 0.1}),
    "adamw": (
        AdamW(0.2, 0.6, 0.8, 0.1, 0.3),
        "AdamW",
        {"lr": 0.2, "betas": (0.6, 0.8), "eps": 0.1, "weight_decay": 0.3},
    ),
}


@pytest.mark.parametrize(("record", "peer", "arguments"), PEERS.values(), ids=PEERS.keys())
def test_rules_are_pytorch_conventions(record, peer, arguments):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=5), rng.normal(size=(6, 5))
    theta = torch.tensor(start, requires_grad=True)
    theirs = getattr(torch.optim, peer)([theta], **arguments)
    for g in gradients:
        theta.grad = torch.tensor(g)
        theirs.step()
    np.testing.assert_allclose(moved(record, start, gradients), theta.detach().numpy(), rtol=1e-12)


def test_every_optimizer_has_a_peer():
    assert PEERS.keys() == OPTIMIZERS.keys() - {"lbfgs"}  # scipy's
