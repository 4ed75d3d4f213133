"""Schedules: their formulas against independent ones, and what they refuse."""

from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from fastbp import Trainer
from fastbp.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    CosLog,
    EpochFunction,
    ExponentialDecay,
    FlatCosine,
    InverseScaling,
    OneCycle,
    Schedule,
    StepDecay,
    schedule_of,
)


def starts(epochs, batches):
    """Epochs done at the start of each batch of a fit."""
    return (np.arange(epochs)[:, None] + np.arange(batches) / batches).ravel()


def half_cosine(first, last, done):
    return first + (last - first) * math.sin(math.pi / 2 * done) ** 2


def cosine(epoch, epochs, warmup, minimum):
    if epoch < warmup:
        return 0.01 + 0.99 * epoch / warmup
    return half_cosine(1, minimum, (epoch - warmup) / (epochs - warmup))


def one_cycle(epoch, epochs, rise, start, end):
    peak = rise * epochs
    if epoch < peak:
        return half_cosine(start, 1, epoch / peak)
    return half_cosine(1, end, (epoch - peak) / (epochs - peak))


# schedule, the same for one number
FORMULAS = {
    "constant": (Constant(), lambda epoch, epochs: 1.0),
    "step": (StepDecay(), lambda epoch, epochs: 0.1 ** (int(epoch) // 10)),
    "step, other": (StepDecay(every=3, factor=0.5), lambda epoch, epochs: 0.5 ** (int(epoch) // 3)),
    "exponential": (ExponentialDecay(), lambda epoch, epochs: math.exp(math.log(0.95) * epoch)),
    "exponential, other": (ExponentialDecay(0.5), lambda epoch, epochs: 2**-epoch),
    "cosine": (Cosine(), lambda epoch, epochs: math.cos(math.pi / 2 * epoch / epochs) ** 2),
    "cosine, warm": (Cosine(warmup=2.5, minimum=0.125), lambda epoch, epochs: cosine(epoch, epochs, 2.5, 0.125)),
    "cosine, long": (Cosine(warmup=100), lambda epoch, epochs: 0.01 + 0.99 * epoch / 100),
    "one_cycle": (OneCycle(), lambda epoch, epochs: one_cycle(epoch, epochs, 0.3, 1 / 25, 1 / 250000)),
    "one_cycle, other": (OneCycle(0.5, 1, 0), lambda epoch, epochs: one_cycle(epoch, epochs, 0.5, 1, 0)),
    "one_cycle, at once": (
        OneCycle(rise=1e-320),
        lambda epoch, epochs: one_cycle(epoch, epochs, 1e-320, 1 / 25, 1 / 250000),
    ),
    "inverse_scaling": (InverseScaling(), lambda epoch, epochs: 1 / math.sqrt(1 + epoch)),
    "inverse_scaling, other": (InverseScaling(2), lambda epoch, epochs: 1 / (1 + epoch) ** 2),
    "coslog4": (CosLog(), lambda epoch, epochs: math.sin(math.pi * math.log2(1 + 15 * epoch / epochs)) ** 2),
    "coslog4, other": (CosLog(2), lambda epoch, epochs: math.sin(math.pi * math.log2(1 + 3 * epoch / epochs)) ** 2),
    "flat_cosine": (FlatCosine(), lambda epoch, epochs: math.cos(math.pi * max(0, epoch / epochs - 0.5)) ** 2),
}


@pytest.mark.parametrize(("record", "formula"), FORMULAS.values(), ids=FORMULAS.keys())
@pytest.mark.parametrize(("epochs", "batches"), [(1, 1), (1, 7), (12, 1), (40, 5)])
def test_formulas(record, formula, epochs, batches):
    epoch = starts(epochs, batches)
    got = record(epoch, epochs)
    assert got.shape == epoch.shape
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [formula(e, epochs) for e in epoch.tolist()], rtol=1e-12, atol=1e-15)
    assert np.all(got >= 0)
    assert np.all(got <= 1)
    assert not record.absolute


@pytest.mark.parametrize("record", [record for record, _ in FORMULAS.values()], ids=FORMULAS.keys())
def test_parts_of_a_fit_are_parts_of_the_whole(record):
    epoch = starts(30, 4)
    whole = record(epoch, 30)
    np.testing.assert_array_equal(np.concatenate([record(part, 30) for part in np.split(epoch, 24)]), whole)
    np.testing.assert_array_equal(record(epoch.reshape(30, 4), 30), whole.reshape(30, 4))
    assert record(epoch[:0], 30).shape == (0,)


def test_where_the_curves_begin_turn_and_end():
    epoch = np.array([0.0, 2.0, 6.0, 10.0])
    np.testing.assert_allclose(Cosine(warmup=2, minimum=0.5)(epoch, 10), [0.01, 1, 0.75, 0.5])
    np.testing.assert_allclose(OneCycle(rise=0.2, start=0.5, end=0.25)(epoch, 10), [0.5, 1, 0.625, 0.25])
    np.testing.assert_array_equal(StepDecay(2, 0.5)(np.array([1.999, 2, 3.999, 4]), 10), [1, 0.5, 0.5, 0.25])


# ours on a batch an epoch, PyTorch's class, its arguments; with T_max and total_steps for 20 epochs
PEERS = {
    "step": (StepDecay(4, 0.5), "StepLR", {"step_size": 4, "gamma": 0.5}),
    "exponential": (ExponentialDecay(0.75), "ExponentialLR", {"gamma": 0.75}),
    "cosine": (Cosine(minimum=0.25), "CosineAnnealingLR", {"T_max": 20, "eta_min": 0.25}),
}


@pytest.mark.parametrize(("record", "peer", "arguments"), PEERS.values(), ids=PEERS.keys())
def test_at_whole_epochs_they_are_pytorch_schedules(record, peer, arguments):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = getattr(torch.optim.lr_scheduler, peer)(sgd, **arguments)
    factors = []
    for _ in range(20):
        factors.append(theirs.get_last_lr()[0])
        sgd.step()
        theirs.step()
    np.testing.assert_allclose(record(np.arange(20.0), 20), factors, rtol=1e-12)


def test_a_function_of_the_epoch_gives_the_rate_itself():
    asked = []

    def rate(epoch):
        asked.append(epoch)
        return 0.5 / (1 + epoch)

    record = schedule_of(rate)
    assert record == EpochFunction(rate)
    assert record.absolute
    got = record(starts(3, 4), 3)
    np.testing.assert_array_equal(got, np.repeat([0.5, 0.25, 0.5 / 3], 4))
    assert asked == [0, 1, 2]
    assert {type(epoch) for epoch in asked} == {int}
    np.testing.assert_array_equal(record(np.array([[7.0], [7.5]]), 9), [[0.0625], [0.0625]])
    assert asked == [0, 1, 2, 7]
    assert record(np.empty(0), 9).shape == (0,)
    assert schedule_of(lambda epoch: np.float32(2))(np.zeros(2), 1).tolist() == [2, 2]


BAD_ANSWERS = {
    "nan": (float("nan"), ValueError, "nan"),
    "infinity": (float("inf"), ValueError, "inf"),
    "zero": (0, ValueError, "0"),
    "negative": (-0.5, ValueError, "-0.5"),
    "nothing": (None, TypeError, "None (NoneType)"),
    "text": ("0.1", TypeError, "'0.1'"),
}


@pytest.mark.parametrize(("answer", "error", "came"), BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_names_the_epoch(answer, error, came):
    record = schedule_of(lambda epoch: answer if epoch == 2 else 1)
    with pytest.raises(error) as caught:
        record(starts(4, 3), 4)
    assert str(caught.value) == f"schedule(2): expected a finite number > 0, got {came}"


def test_an_error_in_the_function_is_its_own():
    with pytest.raises(ZeroDivisionError):
        schedule_of(lambda epoch: 1 / epoch)(np.zeros(1), 1)


RECORDS = {
    "constant": "Constant()",
    "step": "StepDecay(every=10, factor=0.1)",
    "exponential": "ExponentialDecay(factor=0.95)",
    "cosine": "Cosine(warmup=0.0, minimum=0.0)",
    "one_cycle": "OneCycle(rise=0.3, start=0.04, end=4e-06)",
    "inverse_scaling": "InverseScaling(power=0.5)",
    "coslog4": "CosLog(cycles=4)",
    "flat_cosine": "FlatCosine()",
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_names_and_records(name):
    record = schedule_of(name)
    assert repr(record) == RECORDS[name]
    assert type(record) is SCHEDULES[name]
    assert record == eval(RECORDS[name])
    assert hash(record) == hash(SCHEDULES[name]())
    assert schedule_of(record) is record
    assert pickle.loads(pickle.dumps(record)) == record
    with pytest.raises(FrozenInstanceError):
        record.factor = 0.5


def test_none_is_no_schedule():
    assert schedule_of(None) is None


def test_records_differ_by_their_values():
    assert StepDecay(5) != StepDecay(6)
    assert StepDecay(5) == StepDecay(np.int64(5), np.float64(0.1))
    assert repr(StepDecay(np.int64(5), np.float64(0.1))) == "StepDecay(every=5, factor=0.1)"


def test_a_function_pickles_if_it_has_a_name():
    record = schedule_of(math.exp)
    assert pickle.loads(pickle.dumps(record)) == record


def test_one_of_your_own():
    class Halves(Schedule):
        def __call__(self, epoch, epochs):
            return np.full(epoch.shape, 0.5)

    mine = Halves()
    assert schedule_of(mine) is mine
    assert not mine.absolute
    with pytest.raises(TypeError, match="abstract"):
        Schedule()


NUMBERS = {  # class, argument, value, error, what follows "expected"
    "every 0": (StepDecay, "every", 0, ValueError, "an integer ≥ 1, got 0"),
    "every 1.5": (StepDecay, "every", 1.5, TypeError, "an integer ≥ 1, got 1.5 (float)"),
    "step factor 0": (StepDecay, "factor", 0, ValueError, "a finite number > 0, got 0"),
    "step factor 2": (StepDecay, "factor", 2, ValueError, "a number in (0, 1], got 2"),
    "factor -1": (ExponentialDecay, "factor", -1, ValueError, "a finite number > 0, got -1"),
    "factor 1.05": (ExponentialDecay, "factor", 1.05, ValueError, "a number in (0, 1], got 1.05"),
    "factor None": (ExponentialDecay, "factor", None, TypeError, "a finite number > 0, got None (NoneType)"),
    "warmup -1": (Cosine, "warmup", -1, ValueError, "a finite number ≥ 0, got -1"),
    "warmup nan": (Cosine, "warmup", float("nan"), ValueError, "a finite number ≥ 0, got nan"),
    "minimum -0.1": (Cosine, "minimum", -0.1, ValueError, "a finite number ≥ 0, got -0.1"),
    "minimum 1.1": (Cosine, "minimum", 1.1, ValueError, "a number in [0, 1], got 1.1"),
    "rise 0": (OneCycle, "rise", 0, ValueError, "a finite number > 0, got 0"),
    "rise 1": (OneCycle, "rise", 1, ValueError, "a number in (0, 1), got 1"),
    "start 0": (OneCycle, "start", 0, ValueError, "a finite number > 0, got 0"),
    "start 25": (OneCycle, "start", 25, ValueError, "a number in (0, 1], got 25"),
    "end -1": (OneCycle, "end", -1, ValueError, "a finite number ≥ 0, got -1"),
    "end 2": (OneCycle, "end", 2, ValueError, "a number in [0, 1], got 2"),
    "power 0": (InverseScaling, "power", 0, ValueError, "a finite number > 0, got 0"),
    "power text": (InverseScaling, "power", "1", TypeError, "a finite number > 0, got '1'"),
}


@pytest.mark.parametrize(("kind", "name", "value", "error", "message"), NUMBERS.values(), ids=NUMBERS.keys())
def test_bad_numbers(kind, name, value, error, message):
    with pytest.raises(error) as caught:
        kind(**{name: value})
    assert str(caught.value) == f"{name}: expected {message}"


EXPECTED = (
    "schedule: expected None, one of 'constant', 'step', 'exponential', 'cosine', 'one_cycle', 'inverse_scaling', "
    "'coslog4', 'flat_cosine', a Schedule, or a function of the epoch, got "
)
NO_SCHEDULES = {
    "a class": (Cosine, "the class Cosine; write Cosine()"),
    "another class": (int, "<class 'int'> (type)"),
    "a number": (0.5, "0.5 (float)"),
}


@pytest.mark.parametrize(("value", "came"), NO_SCHEDULES.values(), ids=NO_SCHEDULES.keys())
def test_what_is_no_schedule(value, came):
    with pytest.raises(TypeError) as caught:
        schedule_of(value)
    assert str(caught.value) == EXPECTED + came


def test_a_wrong_name_is_told_the_nearest():
    with pytest.raises(ValueError, match=r"^schedule: expected one of 'c.*, got 'one-cycle'; did you mean 'one_cycle'"):
        schedule_of("one-cycle")


class Own(Schedule):
    """A schedule of a user's own."""

    def __init__(self, function):
        self.function = function

    def __call__(self, epoch, epochs):
        return self.function(epoch)


X = np.random.default_rng(0).normal(size=(30, 2))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda epoch: 1.0, r"schedule \(Own\): expected shape \(3,\), one number for each mini-batch, got shape \(\)"),
        (lambda epoch: np.ones(1), r"expected shape \(3,\), one number for each mini-batch, got shape \(1,\)"),
        (lambda epoch: np.ones(2), r"expected shape \(3,\), .* got shape \(2,\)"),
        (lambda epoch: np.ones((3, 1)), r"expected shape \(3,\), .* got shape \(3, 1\)"),
        (lambda epoch: epoch - 0.5, r"schedule \(Own\): expected finite numbers ≥ 0, got -0.5"),
        (lambda epoch: epoch * np.nan, r"schedule \(Own\): expected finite numbers ≥ 0, got nan"),
        (lambda epoch: epoch + np.inf, r"schedule \(Own\): expected finite numbers ≥ 0, got inf"),
        (lambda epoch: epoch + 0j, r"schedule \(Own\): expected an array of numbers, got dtype complex128"),
        (lambda epoch: ["a"] * 3, r"schedule \(Own\): expected an array of numbers, got text"),
    ],
)
def test_what_ones_own_schedule_gives_is_checked(function, message):
    trainer = Trainer([2, 1], schedule=Own(function), batch_size=10, seed=0)
    with pytest.raises((ValueError, TypeError), match=message):
        trainer.fit(X, X[:, 0], verbose=0)
    assert trainer.epochs_trained == 0


@pytest.mark.parametrize("kind", [list, np.float32, np.float16, ">f8", int])
def test_ones_own_schedule_may_give_any_numbers(kind):
    trainers = [
        Trainer([2, 1], schedule=Own(function), batch_size=10, seed=0)
        for function in (np.ones_like, lambda epoch: [1] * len(epoch) if kind is list else np.ones(len(epoch), kind))
    ]
    for trainer in trainers:
        trainer.fit(X, X[:, 0], epochs=2, verbose=0)
    np.testing.assert_array_equal(trainers[0].weights[0], trainers[1].weights[0])


@pytest.mark.parametrize("name", ["step", "exponential", "cosine", "one_cycle"])
def test_schedules_equal_pytorchs(name):
    """Cosine and one-cycle batch by batch; the others at whole epochs."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rates = torch.optim.lr_scheduler
    epochs, batches = 20, 5
    by_batch = name in ("cosine", "one_cycle")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = {
        "step": lambda: rates.StepLR(optimizer, step_size=10),
        "exponential": lambda: rates.ExponentialLR(optimizer, 0.95),
        "cosine": lambda: rates.CosineAnnealingLR(optimizer, epochs * batches),
        "one_cycle": lambda: rates.OneCycleLR(optimizer, 1.0, total_steps=epochs * batches, cycle_momentum=False),
    }[name]()
    expected = []
    for _ in range(epochs * batches if by_batch else epochs):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step() if len(expected) < epochs * batches else None
    got = SCHEDULES[name]()(starts(epochs, batches if by_batch else 1), epochs)
    if name == "one_cycle":  # PyTorch's fall begins a mini-batch earlier, as the page says
        peak = round(0.3 * epochs * batches)
        expected, got = expected[peak - 1 : -1], got[peak:]
    np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.parametrize("sizes", [[3, 4, 2], [3, 40, 2], [40, 600, 300]], ids=str)  # each path through the kernels
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [1e-30, 1e-46, 1e-60])
def test_a_rate_that_rounds_to_zero_changes_no_weight(sizes, dtype, rate):
    trainer = Trainer(sizes, schedule=lambda epoch: rate, dtype=dtype, seed=0)
    before = trainer.get_weights()
    rng = np.random.default_rng(0)
    trainer.fit(rng.random((40, sizes[0])), rng.random((40, sizes[-1])), epochs=2, verbose=0)
    for now, then in zip(trainer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
