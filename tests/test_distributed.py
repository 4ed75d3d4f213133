"""Several processes that train one network: the weights of one process, errors on one rank, and a kill of one."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from fastbp import Trainer, distributed
from tests.stress._mpi import ENVIRONMENT, MISSING, ROOT

MPI = pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)} on this machine")
START = """
import sys, numpy as np
from mpi4py import MPI
from fastbp import Trainer, Callback, Checkpoint, EarlyStopping, Stream
comm = MPI.COMM_WORLD
rng = np.random.default_rng(0)
X, y = rng.normal(size=(203, 20)).astype("f"), rng.integers(0, 5, 203)
def trainer(**options):
    return Trainer([20, 40, 5], loss="cross_entropy", **{"batch_size": 32, "seed": 1, "comm": comm} | options)
"""


def job(n: int, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["mpiexec", "-n", str(n), sys.executable, "-W", "error", "-c", START + code, *arguments]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)


SAME = """
w = rng.uniform(size=203)
def batches():
    return [(X[i : i + 21], y[i : i + 21]) for i in range(0, 203, 21)]
for options in (
    {"learning_rate": 0.1},
    {"optimizer": "adam", "dropout": 0.3, "l1": 1e-4, "l2": 1e-3, "clip_norm": 1.0, "max_norm": 3.0},
    {"optimizer": "nesterov", "learning_rate": 0.01, "batch_size": 3, "dtype": "float64", "schedule": "cosine"},
):
    both = trainer(**options), trainer(**options | {"comm": None})
    for each in both:
        for fit in range(2):  # 7 batches an epoch: 203 and more steps
            given = {"sample_weight": w, "validation_split": 0.1, "metrics": ["accuracy", "log_loss"]}
            each.fit(X, y, epochs=15, verbose=0, **given)
        each.fit(batches(), epochs=2, verbose=0)
        each.fit(Stream(batches, rows=203, shuffle_buffer=60), epochs=2, validation_data=Stream(batches), verbose=0)
        each.train_on_batch(X[:2], y[:2])  # fewer rows than ranks
    for got, expected in zip(*(each.get_weights() for each in both)):
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
    assert list(both[0].history) == list(both[1].history)
    for name in both[0].history:
        np.testing.assert_allclose(both[0].history[name], both[1].history[name], atol=1e-4)
drawn = trainer(seed=None)
drawn.fit(X, y, epochs=2, verbose=0)
all_weights = comm.allgather(drawn.get_weights())
assert all((a == b).all() for others in all_weights for a, b in zip(others, all_weights[0]))
sys.stdout.write("same\\n")
"""


@MPI
@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_weights_are_those_of_one_process(n):
    done = job(n, SAME)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == n


SHARDED = """
n = [203, 60, 131][: comm.size]  # rows of each rank
ends = np.cumsum([0, *n])
parts = [slice(a, b) for a, b in zip(ends, ends[1:])]
X, y = rng.normal(size=(sum(n), 20)).astype("f"), rng.integers(0, 5, sum(n))
w, mine = rng.uniform(size=sum(n)), parts[comm.rank]
for options in (
    {"learning_rate": 0.1},
    {"optimizer": "adam", "dropout": 0.3, "l2": 1e-3, "clip_norm": 1.0, "schedule": "cosine"},
    {"optimizer": "nesterov", "learning_rate": 0.01, "batch_size": 2, "dtype": "float64"},  # fewer rows than ranks
):
    both = trainer(shuffle=False, **options), trainer(shuffle=False, **options | {"comm": None})
    K = -(-sum(n) // both[0].batch_size)
    def batches():
        for k in range(K):
            rows = np.concatenate([np.arange(p.start, p.stop)[c * k // K : c * (k + 1) // K] for p, c in zip(parts, n)])
            yield X[rows], y[rows], w[rows]
    given = {"epochs": 8, "validation_data": (X[:50], y[:50]), "metrics": "accuracy", "verbose": 0}
    both[0].fit(X[mine], y[mine], sample_weight=w[mine], sharded=True, **given)
    both[1].fit(list(batches()), **given)
    for got, expected in zip(*(each.get_weights() for each in both)):
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
    assert list(both[0].history) == list(both[1].history)
    assert "val_accuracy" in both[0].history and "accuracy" not in both[0].history
    for name in both[0].history:
        np.testing.assert_allclose(both[0].history[name], both[1].history[name], atol=1e-4)
digests = set()
for seed in (1, 1, 2):
    shuffled = trainer(seed=seed, initializer="he")
    shuffled.set_weights(trainer().get_weights())
    shuffled.fit(X[mine], y[mine], epochs=3, sharded=True, verbose=0)
    assert len(set(comm.allgather(int(shuffled._state.random[0])))) == 1
    digests.add(shuffled.weights[0].tobytes())
assert len(digests) == 2
shuffled.fit(X[:203], y[:203], verbose=0)  # the same of all again
sys.stdout.write("same\\n")
"""


WEIGHTLESS = """
n = 64  # of each rank
X, y = rng.normal(size=(comm.size * n, 20)).astype("f"), rng.integers(0, 5, comm.size * n)
w = rng.uniform(0.5, 1.5, size=comm.size * n)
w[n:] = 0  # all of the other ranks
w[n // 4 : n // 2] = 0  # and a whole batch
mine, batch_size = slice(comm.rank * n, (comm.rank + 1) * n), comm.size * n // 4
rows = np.arange(comm.size * n).reshape(comm.size, 4, n // 4).swapaxes(0, 1).ravel()  # batch after batch, of all ranks
for options in (
    {"learning_rate": 0.1},
    {"optimizer": "adam", "dropout": 0.3, "l2": 1e-3, "clip_norm": 1.0},
):
    options |= {"batch_size": batch_size, "shuffle": False}
    parts, whole, alone = trainer(**options), trainer(**options), trainer(**options | {"comm": None})
    given = {"epochs": 30, "validation_data": (X, y), "verbose": 0}
    parts.fit(X[mine], y[mine], sample_weight=w[mine], sharded=True, **given)
    whole.fit(X[rows], y[rows], sample_weight=w[rows], **given)  # of the last ranks every part weighs nothing
    alone.fit(X[rows], y[rows], sample_weight=w[rows], **given)
    for each in (parts, whole):
        for got, expected in zip(each.get_weights(), alone.get_weights()):
            np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
        for name in alone.history:
            np.testing.assert_allclose(each.history[name], alone.history[name], atol=1e-4)
by_class, alone = trainer(**options), trainer(**options | {"comm": None})
y = np.where(w > 0, 1, 2)
by_class.fit(X[mine], y[mine], class_weight={2: 0}, sharded=True, epochs=5, verbose=0)
alone.fit(X[rows], y[rows], class_weight={2: 0}, epochs=5, verbose=0)
np.testing.assert_allclose(by_class.weights[0], alone.weights[0], atol=1e-5, rtol=0)
sys.stdout.write("same\\n")
"""


@MPI
@pytest.mark.parametrize(
    ("n", "code"),
    [(2, SHARDED), (3, SHARDED), (2, WEIGHTLESS), (4, WEIGHTLESS)],
    ids=["2-any", "3-any", "2-weightless", "4-weightless"],
)
def test_each_rank_may_have_rows_of_its_own(n, code):
    done = job(n, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == n


def test_a_shard_is_not_enough_for_everything():
    X, y = np.ones((9, 2)), np.arange(9) % 2
    for options, message in (
        ({"validation_split": 0.5}, "validation_split: expected nothing with sharded=True"),
        ({"class_weight": "balanced"}, "class_weight: expected a dict, because sharded=True"),
        ({"metrics": "accuracy"}, "metrics: expected validation_data to measure, because sharded=True"),
        ({"sharded": 1}, "sharded: expected True or False"),
        ({"sample_weight": np.zeros(9)}, "sample_weight: expected a number > 0 among the weights, got only 0"),
        ({"class_weight": {0: 0, 1: 0}}, "class_weight: expected a weight > 0 for some sample, got only 0"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            Trainer([2, 2], loss="cross_entropy").fit(X, y, **{"sharded": True} | options, verbose=0)
    with pytest.raises(ValueError, match="X: expected an array, because sharded=True, got an iterable of batches"):
        Trainer([2, 2], loss="cross_entropy").fit([(X, y)], sharded=True, verbose=0)
    alone, sharded = (Trainer([2, 2], seed=0, loss="cross_entropy") for _ in "12")
    alone.fit(X, y, verbose=0)
    sharded.fit(X, y, class_weight={}, sharded=True, verbose=0)
    np.testing.assert_array_equal(alone.weights[0], sharded.weights[0])


@MPI
def test_the_first_ranks_callbacks_decide_for_all():
    code = """
class Stop(Callback):
    def on_epoch_end(self, trainer, epoch, measured):
        assert comm.rank == 0
        trainer.learning_rate = 0.5
        trainer.set_weights([w * 0 + epoch for w in trainer.get_weights()])
        return epoch == 3
t = trainer()
t.fit(X, y, epochs=9, verbose=0, callbacks=[Stop()] if comm.rank == 0 else [])
assert t.epochs_trained == 3 and t.learning_rate == 0.5
assert all((w == 3).all() for w in t.get_weights())
sys.stdout.write("same\\n")
"""
    done = job(2, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == 2


@MPI
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("trainer(seed=comm.rank)", "seed: expected the same on all ranks of comm, got 0 on rank 0 and 1 on rank 1"),
        ("trainer().fit(X[comm.rank :], y[comm.rank :], verbose=0)", "X, y or sample_weight: expected the same"),
        ("trainer().fit(X, y if comm.rank else y[:9], verbose=0)", "rank 0 failed: ValueError: y: expected"),
        ("trainer().fit(X, y, sharded=comm.rank == 1, verbose=0)", "sharded: expected the same on all ranks of comm"),
        (
            "trainer().fit(X[:, comm.rank :], y, sharded=True, verbose=0)",
            "rank 1 failed: ValueError: X: expected a 2-D",
        ),
        (
            "trainer().fit(X, y, sample_weight=y if comm.rank else None, sharded=True, verbose=0)",
            "with weights on rank 1",
        ),
        (
            "trainer().fit(X, y, sample_weight=0 * y, sharded=True, verbose=0)",
            "sample_weight or class_weight: expected a weight > 0 for some sample of some rank, got only 0",
        ),
        (
            "import pandas; frame = pandas.DataFrame(X, columns=list('abcdefghijklmnopqrst')[:: 1 - 2 * comm.rank]); "
            "trainer().fit(frame, y, sharded=True, verbose=0)",
            "names of X's and y's columns: expected the same on all ranks of comm, got (('a', 'b'",
        ),
        ("trainer().fit([(X, y)] * (2 + comm.rank), verbose=0)", "rows of a batch (−1: there is none): expected"),
        (
            "trainer().fit(Stream([(X, y)] * (2 + comm.rank)), verbose=0)",
            "rows of a batch (−1: there is none): expected",
        ),
        ("trainer().fit(Stream([(X[:, comm.rank :], y)]), verbose=0)", "rank 1 failed: ValueError: X of chunk 0"),
        ("trainer().fit(X, y, metrics=lambda y, a: {}['no'], verbose=0)", "rank 0 failed: KeyError: 'no'"),
        ("trainer(l2=1e30).fit(X, y, epochs=3, verbose=0)", "training diverged"),
    ],
)
def test_all_ranks_hear_of_an_error_on_one(code, message):
    caught = f"""
try:
    {code}
except Exception as error:
    sys.stdout.write(f"{{comm.rank}} heard {{error}}\\n")
comm.Barrier()
"""
    done = job(2, caught)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" heard ") == 2
    assert message in done.stdout


@MPI
def test_an_error_of_one_rank_ends_the_job():
    done = job(2, "t = trainer()\nif comm.rank: t._state.engine.part = None\nt.fit(X, y, verbose=0)")
    assert done.returncode != 0
    assert "fastbp: rank 1 of 2 failed, so the job ends: TypeError" in done.stderr


@MPI
def test_a_signal_to_one_rank_interrupts_all():
    code = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
class Hit(Callback):
    def on_epoch_end(self, trainer, epoch, measured):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
history = trainer().fit(X, y, epochs=10**6, verbose=0, callbacks=Hit())
assert history.interrupted and len(history.epochs) < 10
sys.stdout.write("same\\n")
"""
    done = job(2, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == 2


WAITING = """
import os, signal, threading, time
from fastbp.streams import _feed
_feed.SLAB_BYTES = 1  # a slab is a batch
signal.signal(signal.SIGINT, signal.default_int_handler)
hit = threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT))
def chunks():
    for i in range(0, 128, 32):
        yield X[i : i + 32], y[i : i + 32]
    if comm.rank in waiting:
        if interrupted:
            hit.start()
        time.sleep(80)
    yield X[128:160], y[128:160]
t, begun = trainer(shuffle=False), time.perf_counter()
history = t.fit(Stream(chunks), epochs=10**6, max_seconds=None if interrupted else 2, verbose=0)
assert time.perf_counter() - begun < 30
assert history.interrupted == interrupted and not history.epochs
alone = trainer(shuffle=False, comm=None)
alone.fit(X[:128], y[:128], verbose=0)
for got, expected in zip(t.get_weights(), alone.get_weights()):
    np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)
t.fit(X, y, verbose=0)  # they go on together
sys.stdout.write("same\\n")
sys.stdout.flush()
MPI.Finalize()
os._exit(0)  # a reader is asleep
"""


@MPI
@pytest.mark.parametrize(("waiting", "interrupted"), [([0], False), ([1], False), ([0, 1], False), ([1], True)])
def test_an_end_is_heard_while_a_source_lets_ranks_wait(waiting, interrupted):
    done = job(2, f"waiting, interrupted = {waiting}, {interrupted}" + WAITING)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == 2, done.stderr


@MPI
def test_after_a_kill_the_checkpoint_is_whole_and_training_goes_on(tmp_path):
    path = tmp_path / "last.npz"
    code = """
import os, signal
t = trainer() if not os.path.exists(sys.argv[1]) else Trainer.load(sys.argv[1], comm=comm)
while t.epochs_trained < 6:
    if t.epochs_trained == 3 and comm.rank == 1 and sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    t.fit(X, y, verbose=0, callbacks=Checkpoint(sys.argv[1]))
"""
    done = job(2, code, str(path), "kill")
    assert done.returncode != 0
    assert "signal 9" in done.stderr + done.stdout
    assert Trainer.load(path).epochs_trained == 3
    done = job(2, code, str(path), "live")
    assert done.returncode == 0, done.stderr
    whole = job(2, code, str(tmp_path / "whole.npz"), "live")
    assert whole.returncode == 0, whole.stderr
    pair = Trainer.load(path).get_weights(), Trainer.load(tmp_path / "whole.npz").get_weights()
    for got, expected in zip(*pair, strict=True):
        np.testing.assert_array_equal(got, expected)


@MPI
def test_two_kills_at_random_moments():
    command = [sys.executable, "-m", "tests.stress.killed_ranks", "--count=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"2 kills, \d in the middle .* 0 failed; the last job came to its end\n", done.stdout)


@MPI
def test_the_command_line(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    np.savez(tmp_path / "data.npz", X=X, y=X @ [1.0, 2.0, 3.0])

    def train(n: int, *more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fastbp", "train", "data.npz", "--seed=1", "--out=model.npz", *more]
        return subprocess.run(
            [*(["mpiexec", "-n", str(n)] if n > 1 else []), *command],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path,
        )  # fmt: skip

    first = train(2, "--epochs=3", "--resume")
    assert first.returncode == 0, first.stderr
    assert first.stdout.count("parameters") == 1
    second = train(2, "--epochs=5", "--resume")
    assert second.returncode == 0, second.stderr
    shared = Trainer.load(tmp_path / "model.npz")
    assert shared.epochs_trained == 5
    other = train(2, "--epochs=5", "--resume", "--hidden=4")
    assert other.returncode == 2
    assert "to continue this training, use the same layer_sizes" in other.stderr
    assert train(1, "--epochs=5").returncode == 0
    for got, expected in zip(shared.get_weights(), Trainer.load(tmp_path / "model.npz").get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_what_is_no_communicator_is_refused():
    with pytest.raises(
        TypeError, match=r"comm: expected None or a communicator of mpi4py, such as MPI.COMM_WORLD, got 4"
    ):
        Trainer([2, 1], comm=4)


def test_a_job_without_mpi4py_is_told_what_to_install(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"pip install 'fastbp\[mpi\]'"):
        distributed.communicator()


@MPI
def test_callbacks_and_the_split_go_on_from_a_file(tmp_path):
    """On all ranks, although only the first one has callbacks; also where the file's trainer had no seed."""
    code = """
from fastbp import Checkpoint
path = sys.argv[1]
if comm.rank == 0:
    single = trainer(seed=None, comm=None)
    single.fit(X, y, epochs=1, validation_split=0.2, verbose=0)
    single.save(path)
comm.Barrier()
def go_on(t, *more):
    callbacks = [Checkpoint(path.replace("model", "{epoch}")), EarlyStopping(patience=2), *more]
    t.fit(X, y, epochs=30, initial_epoch=t.epochs_trained, validation_split=0.2, callbacks=callbacks, verbose=0)
whole = Trainer.load(path, comm=comm)
rows = whole._intake.split(whole._intake.data("X", X, "y", y), 0.2)[1].X
assert comm.rank or (rows == single._intake.split(single._intake.data("X", X, "y", y), 0.2)[1].X).all()
whole.learning_rate = 0.5
go_on(whole)
assert whole.epochs_trained < 30
parts = Trainer.load(path.replace("model", "3"), comm=comm)
go_on(parts)
assert parts.history == whole.history
for a, b in zip(parts.get_weights(), whole.get_weights()):
    assert (a == b).all()
go_on(parts)
assert parts.history == whole.history
sys.stdout.write("same\\n")
"""
    done = job(2, code, str(tmp_path / "model.npz"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same") == 2
