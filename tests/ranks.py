"""What the processes of one MPI job check together: mpiexec -n 2 python -m tests.ranks FOLDER CHECK…

Starting a job takes longer than most of the checks, so they share one. Each rank writes a line into its file of the
folder when a check begins and when it ends. A check that fails ends the job, because other ranks may wait for this one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from fastbp import Callback, Checkpoint, EarlyStopping, Stream, Trainer, losses
from fastbp.__main__ import main as fastbp
from fastbp.streams import _feed

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(203, 20)).astype("f"), RNG.integers(0, 5, 203)
W = RNG.uniform(size=203)


def trainer(comm, **options) -> Trainer:
    return Trainer([20, 40, 5], loss="cross_entropy", **{"batch_size": 32, "seed": 1, "comm": comm} | options)


def assert_alike(trainer: Trainer, alone: Trainer) -> None:
    """Rounding of sums in another order apart."""
    for got, expected in zip(trainer.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
    assert list(trainer.history) == list(alone.history)
    for name in trainer.history:
        np.testing.assert_allclose(trainer.history[name], alone.history[name], atol=1e-4)


def assert_equal(some: Trainer, others: Trainer) -> None:
    assert some.history == others.history
    for a, b in zip(some.get_weights(), others.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def the_weights_are_those_of_one_process(comm, folder):
    def batches():
        return [(X[i : i + 21], Y[i : i + 21]) for i in range(0, 203, 21)]

    for options in (
        {"learning_rate": 0.1},
        {"optimizer": "adam", "dropout": 0.3, "l1": 1e-4, "l2": 1e-3, "clip_norm": 1.0, "max_norm": 3.0},
        {"optimizer": "nesterov", "learning_rate": 0.01, "batch_size": 5, "dtype": "float64", "schedule": "cosine"},
    ):
        together, alone = trainer(comm, **options), trainer(None, **options)
        for each in (together, alone):
            given = {"sample_weight": W, "validation_split": 0.1, "metrics": ["accuracy", "log_loss"]}
            for _ in range(2):
                each.fit(X, Y, verbose=0, **given)
            each.fit(batches(), verbose=0)
            each.fit(Stream(batches, rows=203, shuffle_buffer=60), validation_data=Stream(batches), verbose=0)
            each.train_on_batch(X[:2], Y[:2])  # fewer rows than ranks
        assert_alike(together, alone)
    drawn = trainer(comm, seed=None)
    drawn.fit(X, Y, epochs=2, verbose=0)
    first, *others = comm.allgather(drawn.get_weights())
    assert all((a == b).all() for other in others for a, b in zip(other, first, strict=True))


def a_job_of_one_rank(comm, folder):
    from mpi4py import MPI

    the_weights_are_those_of_one_process(MPI.COMM_SELF, folder)


def rows_of_its_own(comm, folder):
    n = [203, 60, 131][: comm.size]  # rows of each rank
    ends = np.cumsum([0, *n])
    parts = [slice(a, b) for a, b in pairwise(ends)]
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(sum(n), 20)).astype("f"), rng.integers(0, 5, sum(n))
    w, mine = rng.uniform(size=sum(n)), parts[comm.rank]
    for options in (
        {"learning_rate": 0.1},
        {"optimizer": "adam", "dropout": 0.3, "l2": 1e-3, "clip_norm": 1.0, "schedule": "cosine"},
        {"optimizer": "nesterov", "learning_rate": 0.01, "batch_size": 2, "dtype": "float64"},  # fewer rows than ranks
    ):
        together, alone = trainer(comm, shuffle=False, **options), trainer(None, shuffle=False, **options)
        batches = of_all_ranks(parts, n, together.batch_size, X, y, w)
        given = {"epochs": 2, "validation_data": (X[:50], y[:50]), "metrics": "accuracy", "verbose": 0}
        together.fit(X[mine], y[mine], sample_weight=w[mine], sharded=True, **given)
        alone.fit(batches, **given)
        assert_alike(together, alone)
        assert "val_accuracy" in together.history
        assert "accuracy" not in together.history
    digests = set()
    for seed in (1, 1, 2):
        shuffled = trainer(comm, seed=seed, initializer="he")
        shuffled.set_weights(trainer(comm).get_weights())
        shuffled.fit(X[mine], y[mine], epochs=3, sharded=True, verbose=0)
        assert len(set(comm.allgather(int(shuffled._state.random[0])))) == 1
        digests.add(shuffled.weights[0].tobytes())
    assert len(digests) == 2
    shuffled.fit(X[:203], y[:203], verbose=0)  # the same of all again


def of_all_ranks(parts, n, batch_size, *arrays) -> list[tuple[np.ndarray, ...]]:
    """The batches of one process: of each rank the k-th piece of its rows."""
    K, batches = -(-sum(n) // batch_size), []
    for k in range(K):
        pieces = [np.arange(p.start, p.stop)[c * k // K : c * (k + 1) // K] for p, c in zip(parts, n, strict=True)]
        rows = np.concatenate(pieces)
        batches.append(tuple(array[rows] for array in arrays))
    return batches


def ranks_whose_rows_weigh_nothing(comm, folder):
    n, m = 64, 64 * comm.size  # rows of each rank, and of all
    rng = np.random.default_rng(3)
    X, y, w = rng.normal(size=(m, 20)).astype("f"), rng.integers(0, 5, m), rng.uniform(0.5, 1.5, size=m)
    w[n:] = 0  # all of the other ranks
    w[n // 4 : n // 2] = 0  # and a whole batch
    mine = slice(comm.rank * n, (comm.rank + 1) * n)
    rows = np.arange(m).reshape(comm.size, 4, n // 4).swapaxes(0, 1).ravel()  # batch after batch, of all ranks
    for kind in ({"learning_rate": 0.1}, {"optimizer": "adam", "dropout": 0.3, "l2": 1e-3, "clip_norm": 1.0}):
        options = kind | {"batch_size": m // 4, "shuffle": False}
        parts, whole, alone = trainer(comm, **options), trainer(comm, **options), trainer(None, **options)
        given = {"epochs": 5, "validation_data": (X, y), "verbose": 0}
        parts.fit(X[mine], y[mine], sample_weight=w[mine], sharded=True, **given)
        whole.fit(X[rows], y[rows], sample_weight=w[rows], **given)  # of the last ranks every part weighs nothing
        alone.fit(X[rows], y[rows], sample_weight=w[rows], **given)
        assert_alike(parts, alone)
        for got, expected in zip(whole.get_weights(), alone.get_weights(), strict=True):
            np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
        np.testing.assert_allclose(whole.history["val_loss"], alone.history["val_loss"], atol=1e-4)
    by_class, alone = trainer(comm, **options), trainer(None, **options)
    y = np.where(w > 0, 1, 2)
    by_class.fit(X[mine], y[mine], class_weight={2: 0}, sharded=True, epochs=5, verbose=0)
    alone.fit(X[rows], y[rows], class_weight={2: 0}, epochs=5, verbose=0)
    np.testing.assert_allclose(by_class.weights[0], alone.weights[0], atol=1e-5, rtol=0)


class Stop(Callback):
    def on_epoch_end(self, trainer, epoch, measured):
        trainer.learning_rate = 0.5
        trainer.set_weights([w * 0 + epoch for w in trainer.get_weights()])
        return epoch == 3


def the_first_ranks_callbacks_decide_for_all(comm, folder):
    t = trainer(comm)
    t.fit(X, Y, epochs=9, verbose=0, callbacks=[Stop()] if comm.rank == 0 else [])
    assert (t.epochs_trained, t.learning_rate) == (3, 0.5)
    assert all((w == 3).all() for w in t.get_weights())


class Hit(Callback):
    def on_epoch_end(self, trainer, epoch, measured):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)


def a_signal_to_one_rank_interrupts_all(comm, folder):
    history = trainer(comm).fit(X, Y, epochs=10**6, verbose=0, callbacks=Hit())
    assert history.interrupted
    assert len(history.epochs) < 10


def an_end_while_a_source_lets_ranks_wait(comm, waiting, interrupted):
    """After max_seconds, or a Ctrl-C."""
    go_on = threading.Event()
    hit = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))

    def chunks():
        for i in range(0, 128, 32):
            yield X[i : i + 32], Y[i : i + 32]
        if comm.rank in waiting:
            if interrupted:
                hit.start()
            go_on.wait(80)
        yield X[128:160], Y[128:160]

    given, _feed.SLAB_BYTES = _feed.SLAB_BYTES, 1  # a piece is a batch
    t, begun = trainer(comm, shuffle=False), time.perf_counter()
    history = t.fit(Stream(chunks), epochs=10**6, max_seconds=None if interrupted else 0.3, verbose=0)
    _feed.SLAB_BYTES = given
    assert time.perf_counter() - begun < 30
    assert history.interrupted == interrupted
    assert not history.epochs
    alone = trainer(None, shuffle=False)
    alone.fit(X[:128], Y[:128], verbose=0)
    for got, expected in zip(t.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
    t.fit(X, Y, verbose=0)  # they go on together
    go_on.set()


def callbacks_and_the_split_go_on_from_a_file(comm, folder):
    """On all ranks, although only the first one has callbacks; also where the file's trainer had no seed."""
    path = str(folder / "model.npz")
    if comm.rank == 0:
        single = trainer(None, seed=None)
        single.fit(X, Y, epochs=1, validation_split=0.2, verbose=0)
        single.save(path)
    comm.Barrier()

    def go_on(t, *more):
        options = {"initial_epoch": t.epochs_trained, "callbacks": [EarlyStopping(patience=2), *more]}
        t.fit(X, Y, epochs=30, validation_split=0.2, verbose=0, **options)

    whole, alone = Trainer.load(path, comm=comm), Trainer.load(path)
    whole.learning_rate = alone.learning_rate = 0.5
    go_on(whole, Checkpoint(path.replace("model", "{epoch}")))
    go_on(alone)
    assert whole.epochs_trained < 30
    assert_alike(whole, alone)
    parts = Trainer.load(path.replace("model", "3"), comm=comm)
    go_on(parts)
    assert_equal(parts, whole)
    go_on(parts)
    assert_equal(parts, whole)


def the_command_line(comm, folder):
    if comm.rank == 0:
        X = np.random.default_rng(0).normal(size=(60, 3))
        np.savez(folder / "data.npz", X=X, y=X @ [1.0, 2.0, 3.0])
    comm.Barrier()
    command = ["train", str(folder / "data.npz"), "--seed=1", f"--out={folder / 'shared.npz'}", "--resume"]
    for epochs in (3, 5):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            assert fastbp([*command, f"--epochs={epochs}"]) == 0
        assert said.getvalue().count("parameters") == (comm.rank == 0)
        comm.Barrier()


def _frame(comm) -> pandas.DataFrame:
    return pandas.DataFrame(X, columns=list("abcdefghijklmnopqrst")[:: 1 - 2 * comm.rank])


# What one of two ranks does wrong, and what all ranks say.
ERRORS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "seed": (
        lambda comm: trainer(comm, seed=comm.rank),
        "seed: expected the same on all ranks of comm, got 0 on rank 0 and 1 on rank 1",
    ),
    "data": (
        lambda comm: trainer(comm).fit(X[comm.rank :], Y[comm.rank :], verbose=0),
        "X, y or sample_weight: expected the same",
    ),
    "rows": (
        lambda comm: trainer(comm).fit(X, Y if comm.rank else Y[:9], verbose=0),
        "rank 0 failed: ValueError: y: expected",
    ),
    "sharded": (
        lambda comm: trainer(comm).fit(X, Y, sharded=comm.rank == 1, verbose=0),
        "sharded: expected the same on all ranks of comm",
    ),
    "columns": (
        lambda comm: trainer(comm).fit(X[:, comm.rank :], Y, sharded=True, verbose=0),
        "rank 1 failed: ValueError: X: expected a 2-D",
    ),
    "weights": (
        lambda comm: trainer(comm).fit(X, Y, sample_weight=Y if comm.rank else None, sharded=True, verbose=0),
        "with weights on rank 1",
    ),
    "no weight": (
        lambda comm: trainer(comm).fit(X, Y, sample_weight=0 * Y, sharded=True, verbose=0),
        "sample_weight or class_weight: expected a weight > 0 for some sample of some rank, got only 0",
    ),
    "names": (
        lambda comm: trainer(comm).fit(_frame(comm), Y, sharded=True, verbose=0),
        "names of X's and y's columns: expected the same on all ranks of comm, got (('a', 'b'",
    ),
    "batches": (
        lambda comm: trainer(comm).fit([(X, Y)] * (2 + comm.rank), verbose=0),
        "rows of a batch (−1: there is none): expected",
    ),
    "chunks": (
        lambda comm: trainer(comm).fit(Stream([(X, Y)] * (2 + comm.rank)), verbose=0),
        "rows of a batch (−1: there is none): expected",
    ),
    "a chunk": (
        lambda comm: trainer(comm).fit(Stream([(X[:, comm.rank :], Y)]), verbose=0),
        "rank 1 failed: ValueError: X of chunk 0",
    ),
    "a metric": (
        lambda comm: trainer(comm).fit(X, Y, metrics=lambda y, a: {}["no"], verbose=0),
        "rank 0 failed: KeyError: 'no'",
    ),
    "divergence": (lambda comm: trainer(comm, l2=1e30).fit(X, Y, epochs=3, verbose=0), "training diverged"),
}


def all_ranks_hear_of_an_error_on_one(comm, name):
    act, message = ERRORS[name]
    try:
        act(comm)
        heard = "nothing"
    except Exception as error:
        heard = str(error)
    of_all = comm.allgather(heard)
    assert "nothing" not in of_all
    assert any(message in each for each in of_all), of_all


def standardized(comm, _):
    """All ranks have the means and deviations of one process; a rank's own rows are not enough for them."""
    together, alone = (trainer(c, standardize=True) for c in (comm, None))
    for each in (together, alone):
        each.fit(3 * X + 7, Y, epochs=2, validation_split=0.2, metrics="accuracy", verbose=0)
    np.testing.assert_array_equal(together.scaling.mean, alone.scaling.mean)
    assert_alike(together, alone)
    fresh = trainer(comm, standardize=True)
    heard = ""
    try:
        fresh.fit(X[comm.rank :: comm.size], Y[comm.rank :: comm.size], sharded=True, verbose=0)
    except ValueError as error:
        heard = str(error)
    assert "sharded: expected all training samples at once" in heard
    fresh.fit(X, Y, epochs=0, verbose=0)
    fresh.fit(X[comm.rank :: comm.size], Y[comm.rank :: comm.size], sharded=True, verbose=0)
    assert fresh.epochs_trained == 1


def losses_of_rows(comm, folder):
    for loss, n_outputs, y in (
        ("gaussian_nll", 4, X[:, :2]),
        (losses.Members("cross_entropy", 2), 10, Y),
        (losses.Rows(length, 2), 2, X[:, :2]),
    ):
        options = {"loss": loss, "batch_size": 32, "seed": 1, "optimizer": "adam", "dtype": "float64"}
        together, alone = (Trainer([20, 9, n_outputs], comm=each, **options) for each in (comm, None))
        for each in (together, alone):
            metrics = [] if n_outputs < 10 else ["accuracy"]
            each.fit(X, y, epochs=2, sample_weight=W, validation_split=0.1, metrics=metrics, verbose=0)
        assert_alike(together, alone)


def length(outputs, targets):
    """A loss of rows of one's own: √(1 + the squared distance)."""
    root = np.sqrt(1 + np.sum((outputs - targets) ** 2))
    return root, (outputs - targets) / root


FOR_ANY_NUMBER = {
    "standardized": standardized,
    "weights": the_weights_are_those_of_one_process,
    "rows of its own": rows_of_its_own,
    "losses of rows": losses_of_rows,
    "weightless": ranks_whose_rows_weigh_nothing,
}
FOR_TWO = (
    FOR_ANY_NUMBER
    | {
        "one rank": a_job_of_one_rank,
        "callbacks": the_first_ranks_callbacks_decide_for_all,
        "signal": a_signal_to_one_rank_interrupts_all,
        "file": callbacks_and_the_split_go_on_from_a_file,
        "command line": the_command_line,
        "wait: rank 0": lambda comm, _: an_end_while_a_source_lets_ranks_wait(comm, [0], False),
        "wait: rank 1": lambda comm, _: an_end_while_a_source_lets_ranks_wait(comm, [1], False),
        "wait: both": lambda comm, _: an_end_while_a_source_lets_ranks_wait(comm, [0, 1], False),
        "wait: Ctrl-C": lambda comm, _: an_end_while_a_source_lets_ranks_wait(comm, [1], True),
    }
    | {f"error: {name}": lambda comm, _, name=name: all_ranks_hear_of_an_error_on_one(comm, name) for name in ERRORS}
)


def main() -> None:
    """Go through the checks that the command line names."""
    from mpi4py import MPI

    signal.signal(signal.SIGINT, signal.default_int_handler)
    comm, folder = MPI.COMM_WORLD, Path(sys.argv[1])
    with (folder / f"{comm.rank}.jsonl").open("a", encoding="utf-8") as file:

        def note(*line: str) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()

        for name in sys.argv[2:]:
            note(name, "begun")
            try:
                FOR_TWO[name](comm, folder)
            except BaseException:
                note(name, traceback.format_exc())
                comm.Abort(1)
            note(name, "passed")
            comm.Barrier()


if __name__ == "__main__":
    main()
