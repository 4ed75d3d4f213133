"""Thousands of calls with wrong arguments: an exception that the documentation names, or a right result; no harm done.

    python -m tests.stress.bad_calls --count 5000

An exception has to say which argument is wrong, and leave the weights and the history as they were; a call that turns
out to be a right one must leave finite weights. Warnings count as failures, as does any other kind of exception.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from fastbp import DivergenceError, Network, Trainer, callbacks, losses, optimizers, schedules
from tests.stress._values import anything, numbers

DOCUMENTED = (ValueError, TypeError, RuntimeError, OSError, DivergenceError, MemoryError)
LONG = 50  # epochs, or layers' sizes, that would take a while
rng = np.random.default_rng(0)
X, Y = rng.uniform(size=(6, 3)).astype(np.float32), rng.uniform(size=(6, 2)).astype(np.float32)
CLASSES, LABELS = np.array([0, 1, 1, 0, 1, 0]), np.array([[0, 1]] * 6)
TRAINERS: tuple[tuple[dict[str, Any], Any], ...] = (  # options, and a right y
    ({}, Y),
    ({"loss": "cross_entropy", "dtype": "float64"}, CLASSES),
    ({"loss": "binary_cross_entropy", "optimizer": "adam"}, LABELS),
    ({"loss": "hinge", "l1": 0.1, "dropout": 0.2}, CLASSES),
    ({"optimizer": "lbfgs"}, Y),
)


@dataclass(frozen=True)
class Call:
    """A call of the public API: right arguments by name, of which some are to be replaced by wrong ones."""

    name: str
    do: Callable[..., Any] = field(repr=False)  # of a trainer and the arguments
    right: dict[str, Any] = field(repr=False)
    needed: tuple[str, ...] = ()  # arguments that are always given; y is the right one of the trainer
    late: tuple[str, ...] = ()  # arguments that can be found wrong only after an epoch


def method(name: str, needed: tuple[str, ...], late: tuple[str, ...] = (), **right: Any) -> Call:
    """A method of a trainer."""
    return Call(f"Trainer.{name}", lambda trainer, **given: getattr(trainer, name)(**given), right, needed, late)


def maker(kind: Any, needed: tuple[str, ...] = (), **right: Any) -> Call:
    """A class or function that makes something."""
    return Call(kind.__name__, lambda trainer, **given: kind(**given), right, needed)


def use_callback(kind: Any, needed: tuple[str, ...] = (), **right: Any) -> Call:
    """A callback, made and then used."""

    def do(trainer: Trainer, **given: Any) -> None:
        trainer.fit(X, y_of(trainer), callbacks=kind(**given), verbose=0)

    return Call(kind.__name__, do, right, needed, late=tuple(right))


def use_schedule(kind: Any, **right: Any) -> Call:
    """A schedule, made and then used."""

    def do(_: Trainer, **given: Any) -> None:
        Trainer([3, 4, 2], schedule=kind(**given)).fit(X, Y, epochs=2, verbose=0)

    return Call(kind.__name__, do, right)


def assign(trainer: Trainer, **given: Any) -> None:
    """What a trainer lets be set."""
    for name, value in given.items():
        setattr(trainer, name, value)


def save_and_load(trainer: Trainer, path: Any) -> None:
    trainer.save(path)
    Trainer.load(path)


def y_of(trainer: Trainer) -> Any:
    """What fits the trainer's loss."""
    return next(y for options, y in TRAINERS if options.get("loss", "squared_error") == trainer.loss)


SAMPLES = {"X": X, "y": None}
OPTIONS: dict[str, Any] = {
    "activation": "relu",
    "output_activation": "auto",
    "loss": "squared_error",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "schedule": "cosine",
    "batch_size": 4,
    "initializer": "glorot",
    "epsilon": 0.1,
    "use_bias": True,
    "dropout": 0.1,
    "l1": 0.1,
    "l2": 0.1,
    "clip_value": 1.0,
    "clip_norm": 1.0,
    "max_norm": 1.0,
    "shuffle": False,
    "dtype": "float64",
    "seed": 1,
    "n_threads": 1,
    "standardize": True,
}
CALLS = (
    maker(Trainer, ("layer_sizes",), layer_sizes=[3, 4, 2], **OPTIONS),
    maker(
        Network,
        ("layer_sizes",),
        layer_sizes=[3, 4, 2],
        **{name: OPTIONS[name] for name in ("activation", "use_bias", "dtype")},
        output_activation="tanh",
    ),
    method(
        "fit",
        ("X", "y"),
        ("callbacks", "metrics"),
        **SAMPLES,
        epochs=2,
        sample_weight=np.ones(6),
        class_weight=None,
        validation_data=(X, Y),
        validation_split=0.5,
        metrics=["mse"],
        callbacks=[],
        steps=None,
        max_seconds=5.0,
        verbose=0,
    ),
    method("train_on_batch", ("X", "y"), **SAMPLES, sample_weight=np.ones(6)),
    method("evaluate", ("X", "y"), **SAMPLES, metrics=["mse"], sample_weight=np.ones(6)),
    method("gradients", ("X", "y"), **SAMPLES),
    method("predict", ("X",), X=X),
    method("predict_classes", ("X",), X=X),
    method("set_weights", ("weights",), weights=Trainer([3, 4, 2], seed=1).get_weights()),
    Call("Trainer.load", lambda trainer, path: Trainer.load(path), {"path": "missing"}, ("path",)),
    Call("Trainer.save", save_and_load, {"path": "saved"}, ("path",)),
    Call("assign", assign, {"learning_rate": 0.1, "batch_size": 3, "n_threads": 2}),
    Call(
        "fit of batches",
        lambda trainer, batch, **given: trainer.fit([batch], verbose=0, **given),
        {"batch": (X, Y), "steps": 1, "class_weight": None},
        ("batch",),
    ),
    Call(
        "Network.predict",
        lambda trainer, **given: trainer.network.predict(**given),
        {"X": X, "n_threads": 1},
        ("X",),
    ),
    use_callback(callbacks.EarlyStopping, monitor="loss", patience=1, min_delta=0.1, mode="min"),
    use_callback(
        callbacks.ReduceLROnPlateau,
        **{"monitor": "loss", "factor": 0.5, "patience": 1, "cooldown": 1, "min_learning_rate": 0.1, "mode": "max"},
    ),
    use_callback(callbacks.CSVLogger, ("path",), path="log.csv", separator=",", append=False),
    maker(losses.Huber, delta=1.0),
    maker(losses.Quantile, q=0.5),
    maker(losses.CrossEntropy, label_smoothing=0.1),
    maker(optimizers.SGD, learning_rate=0.1, momentum=0.9, nesterov=True),
    maker(optimizers.Adam, learning_rate=0.1, beta_1=0.9, beta_2=0.9, epsilon=1e-8),
    maker(optimizers.AdamW, learning_rate=0.1, weight_decay=0.1),
    maker(optimizers.RMSprop, learning_rate=0.1, rho=0.9, epsilon=1e-8),
    maker(optimizers.Adagrad, learning_rate=0.1, epsilon=1e-8),
    maker(optimizers.LBFGS, memory=5, tolerance=1e-5),
    use_schedule(schedules.StepDecay, every=2, factor=0.5),
    use_schedule(schedules.ExponentialDecay, factor=0.5),
    use_schedule(schedules.Cosine, warmup=0.3, minimum=0.1),
    use_schedule(schedules.OneCycle, rise=0.3, start=0.1, end=0.01),
    use_schedule(schedules.InverseScaling, power=0.5),
)
LIMITED = ("epochs", "steps", "layer_sizes", "every")  # where a large integer is a right one, and takes for ever


def is_long(value: Any) -> bool:
    """Whether it has, or may have, a number in it that would keep us busy."""
    if isinstance(value, list | tuple):
        return any(is_long(item) for item in value)
    return isinstance(value, Iterator) or (isinstance(value, int | np.integer) and abs(value) > LONG)


@st.composite
def bad_calls(draw: Any) -> tuple[Call, dict[str, Any], int]:
    """A call, the arguments that are replaced, and which trainer."""
    call = draw(st.sampled_from(CALLS))
    names = draw(st.lists(st.sampled_from(sorted(call.right)), min_size=1, max_size=2, unique=True))
    bad = {}
    for name in names:
        value = draw(st.one_of(numbers, anything))
        if name not in LIMITED or not is_long(value):
            bad[name] = value
    return call, bad, draw(st.integers(0, len(TRAINERS) - 1))


def state(trainer: Trainer) -> tuple[Any, ...]:
    """What no refused call may change."""
    return trainer.network._parameters.tobytes(), repr(trainer.history.epochs), trainer._state.memory.steps.tobytes()


def check_message(message: str, names: list[str]) -> None:
    """It has to name an argument."""
    assert re.search(rf"\b({'|'.join(names)})\b", message), f"no argument in the message {message!r}"


def consequence(call: Call, bad: dict[str, Any], which: int) -> str:
    """Make the call; "refused", "accepted" or "diverged". AssertionError where it does any harm."""
    options, right_y = TRAINERS[which]
    trainer = Trainer([3, 4, 2], seed=0, **options)
    arguments = {name: right_y if name == "y" else call.right[name] for name in call.needed}
    before = state(trainer)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("error")
            call.do(trainer, **arguments | bad)
    except DivergenceError:
        return "diverged"
    except DOCUMENTED as error:
        if not set(bad) & set(call.late):
            assert state(trainer) == before, "a refused call changed the trainer"
        if not isinstance(error, OSError | MemoryError) and "path" not in bad:  # of a path Python itself complains
            check_message(str(error), [*call.right, *OPTIONS])
        return "refused"
    assert np.isfinite(trainer.network._parameters).all(), "an accepted call left weights that are not finite"
    return "accepted"


def run(count: int) -> Counter[str]:
    """So many calls; what became of them. Files that they make land in a folder of their own."""
    counts: Counter[str] = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(bad_calls())
    def all_calls(drawn: tuple[Call, dict[str, Any], int]) -> None:
        call, bad, which = drawn
        counts[consequence(call, bad, which)] += 1

    folder = os.getcwd()
    with tempfile.TemporaryDirectory() as other:
        os.chdir(other)
        try:
            all_calls()
        finally:
            os.chdir(folder)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    counts = run(parser.parse_args().count)
    print(f"{counts.total()} bad calls: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
