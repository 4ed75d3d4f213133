"""Many networks by joblib's backends: each as if alone, also where a worker of a Dask cluster is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from fastbp import Callback, DivergenceError, EarlyStopping, Ensemble, Sweep, Trainer, fit_many
from tests.test_many import KINDS, LABELS, X, Y, assert_same, some

ROOT = Path(__file__).parent.parent
BACKENDS = ["threading", "loky"]


def pid(y, output):
    """A metric that says where it was measured."""
    return float(os.getpid())


class Refusal(Exception):
    """Pickled, but not restored: it has arguments of its own."""

    def __init__(self, trainer, epoch):
        super().__init__(f"epoch {epoch} of seed {trainer.seed}")


def refuse(trainer, epoch, measured):
    if trainer.seed == 2:
        raise Refusal(trainer, epoch)


class Halve(Callback):
    def on_epoch_end(self, trainer, epoch, measured):
        trainer.learning_rate /= 2
        return epoch == 3


class Cluster:
    """A scheduler and its workers as processes on this machine, and a client."""

    def __init__(self, folder):
        import distributed

        self.folder, self.log, self.workers = folder, (folder / "log").open("w"), []
        self.scheduler = self.start("scheduler", "--host=127.0.0.1", "--port=0", "--no-dashboard")
        self.client = distributed.Client(scheduler_file=str(folder / "scheduler.json"), timeout=30)

    def start(self, kind, *options):
        file, env = self.folder / "scheduler.json", os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", "--scheduler-file", str(file), *options]
        return subprocess.Popen(command, env=env, stdout=self.log, stderr=self.log, cwd=self.folder)

    def two(self):
        """Start workers until there are two that live."""
        alive = [worker for worker in self.workers if worker.poll() is None]
        while len(alive) < 2:
            alive.append(self.start("worker", "--host=127.0.0.1", "--nthreads=1", "--no-nanny", "--no-dashboard"))
        self.workers = alive
        self.client.wait_for_workers(2, timeout=60)
        while len(self.client.nthreads()) > 2:  # one that was killed is not missed yet
            time.sleep(0.05)
        return alive

    def allow_failures(self, count):
        """Workers that may die of a task until it is given up."""

        def allow(dask_scheduler):
            dask_scheduler.allowed_failures = count

        self.client.run_on_scheduler(allow)

    def close(self):
        self.client.close()
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.close()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["tiny", "wide", "adam", "scheduled", "dropout"])
def test_each_is_as_if_alone(backend, kind):
    together, alone = some(11, **KINDS[kind]), some(11, **KINDS[kind])
    views = [trainer.weights[0] for trainer in together]
    for epochs in (3, 2):
        with joblib.parallel_config(backend):
            outcomes = fit_many(together, X, Y, epochs=epochs, n_jobs=2, verbose=0)
        for number, (outcome, trainer) in enumerate(zip(outcomes, alone, strict=True)):
            history = trainer.fit(X, Y, epochs=epochs, verbose=0)
            assert outcome.number == number
            assert outcome.trainer is together[number]
            assert outcome.history == history
            assert_same(together[number], trainer)
            np.testing.assert_array_equal(views[number], trainer.weights[0])


def test_where_they_are_trained():
    """By joblib where it is asked, in the call or around it, and only there."""
    options = {"validation_data": (X, Y), "metrics": pid, "epochs": 1, "verbose": 0}

    def places():
        return {outcome.history["pid"][0] for outcome in fit_many(some(4), X, Y, **options)}

    here = {float(os.getpid())}
    assert places() == here
    with joblib.parallel_config("loky", n_jobs=2):
        assert not places() & here
    with joblib.parallel_config("threading", n_jobs=2):
        assert places() == here
    outcomes = fit_many(some(4), X, Y, n_jobs=2, **options)
    assert here.isdisjoint(outcome.history["pid"][0] for outcome in outcomes)


def test_without_the_gil_they_are_trained_in_threads(monkeypatch):
    """Unless a backend is chosen: processes would only copy the samples."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    options = {"validation_data": (X, Y), "metrics": pid, "epochs": 1, "n_jobs": 2, "verbose": 0}

    def places():
        outcomes = fit_many(some(4), X, Y, **options)
        assert not any(outcome.error for outcome in outcomes)
        return {outcome.history["pid"][0] for outcome in outcomes}

    here = {float(os.getpid())}
    assert places() == here
    with joblib.parallel_config(n_jobs=2):
        assert places() == here
    with joblib.parallel_config("loky"):
        assert not places() & here


@pytest.mark.parametrize("backend", BACKENDS)
def test_options_callbacks_and_data_of_their_own(backend):
    together, alone = some(4), some(4)
    Xs, ys = [X[:20], X[5:], X, X[9:]], [Y[:20], Y[5:], Y, Y[9:]]
    weights = [np.arange(1.0, 1 + len(x)) for x in Xs]
    options = {"validation_split": 0.2, "metrics": "r2", "epochs": 6, "verbose": 0}
    callbacks = [EarlyStopping("val_loss", patience=1), Halve()]
    with joblib.parallel_config(backend, n_jobs=2):
        outcomes = fit_many(together, Xs, ys, sample_weight=weights, callbacks=callbacks, n_threads=2, **options)
    for outcome, other, x, y, w in zip(outcomes, alone, Xs, ys, weights, strict=True):
        other.fit(x, y, sample_weight=w, callbacks=[EarlyStopping("val_loss", patience=1), Halve()], **options)
        assert_same(outcome.trainer, other)
        assert outcome.trainer.learning_rate == other.learning_rate
        assert outcome.trainer.n_threads == "auto"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_error_stops_nobody_else(backend):
    good, alone = some(6), some(6)
    bad = Trainer([3, 4, 2], output_activation="identity", learning_rate=1e30, seed=0)
    networks = [*good[:3], bad, {"layer_sizes": [3]}, {"layer_sizes": [4, 2]}, *good[3:]]
    with joblib.parallel_config(backend), pytest.warns(RuntimeWarning, match=r"3 of 9 networks failed"):
        outcomes = fit_many(networks, X, Y, epochs=4, n_jobs=2, verbose=0)
    assert isinstance(outcomes[3].error, DivergenceError)
    assert np.isfinite(bad.predict(X)).all()
    assert outcomes[4].trainer is None
    assert "X" in str(outcomes[5].error)
    for trainer, other in zip(good, alone, strict=True):
        other.fit(X, Y, epochs=4, verbose=0)
        assert_same(trainer, other)


def test_an_error_that_can_not_be_restored_is_told_in_words():
    with pytest.warns(RuntimeWarning, match="1 of 4 networks failed; the first, number 2: Refusal: epoch 1 of seed 2"):
        outcomes = fit_many(some(4), X, Y, epochs=2, callbacks=refuse, n_jobs=2, verbose=0)
    assert [type(outcome.error) for outcome in outcomes].count(type(None)) == 3
    assert outcomes[2].history.epochs == [1]


def die(trainer, epoch, measured):
    if trainer.seed == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_ends_the_call_and_what_was_back_stays():
    trainers, back = some(8), []
    with pytest.raises(TerminatedWorkerError):
        fit_many(trainers, X, Y, epochs=2, callbacks=die, on_finish=back.append, n_jobs=2, verbose=0)
    assert {trainer.seed for trainer in trainers if trainer.epochs_trained} == {outcome.number for outcome in back}
    assert trainers[3].epochs_trained == 0
    assert not any(outcome.error for outcome in fit_many(trainers, X, Y, n_jobs=2, verbose=0))


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_results_come_as_they_finish_in_the_callers_thread(backend):
    seen = []

    def see(outcome):
        seen.append((outcome.number, threading.get_ident(), sum(t.epochs_trained > 0 for t in trainers)))

    trainers = some(8, optimizer="adam")
    with joblib.parallel_config(backend):
        fit_many(trainers, X, Y, epochs=300, on_finish=see, n_jobs=2, verbose=0)
    assert {number for number, _, _ in seen} == set(range(8))
    assert {thread for _, thread, _ in seen} == {threading.get_ident()}
    assert [trained for _, _, trained in seen] == list(range(1, 9))


@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_on_finish_raises_ends_everything(backend, error):
    def fail(outcome):
        raise error

    trainers, started = some(40, optimizer="adam"), time.perf_counter()
    options = {"epochs": 2000, "on_finish": fail, "n_jobs": 2, "verbose": 0}
    with joblib.parallel_config(backend):
        if error is KeyboardInterrupt:
            outcomes = fit_many(trainers, X, Y, **options)
            assert 0 < sum(not outcome.history.interrupted for outcome in outcomes) < 40
            for outcome in outcomes:
                assert outcome.trainer.epochs_trained == len(outcome.history.epochs) in (0, 2000)
        else:
            with pytest.raises(error):
                fit_many(trainers, X, Y, **options)
    assert time.perf_counter() - started < 30
    assert sum(trainer.epochs_trained == 0 for trainer in trainers) > 20


def test_ctrl_c_ends_jobs():
    code = """
import os, signal, threading, numpy as np, joblib
from fastbp import Trainer, fit_many
signal.signal(signal.SIGINT, signal.default_int_handler)
X = np.random.default_rng(0).normal(size=(50, 3))
trainers = [Trainer([3, 4, 2], optimizer="adam", seed=i) for i in range(6)]
once = lambda outcome: threading.Timer(0.3, lambda: os.killpg(0, signal.SIGINT)).start()
fit_many(trainers[:1], X, X[:, :2], epochs=1, n_jobs=2, on_finish=once, verbose=0)
outcomes = fit_many(trainers[1:], X, X[:, :2], epochs=10**7, n_jobs=2, verbose=0)
assert all(outcome.history.interrupted for outcome in outcomes)
print("ended")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, start_new_session=True, cwd=ROOT
    )
    assert done.stdout == "ended\n", done.stderr
    assert done.returncode == 0


def test_a_backend_that_gives_all_results_at_the_end():
    """In a process of its own, which has no threads that a fork could miss."""
    code = """
import joblib, numpy as np
from tests.test_many import X, Y, assert_same, fit_many, some
together, alone = some(5), some(5)
with joblib.parallel_config("multiprocessing"):
    fit_many(together, X, Y, epochs=3, n_jobs=2, verbose=0)
for trainer, other in zip(together, alone):
    other.fit(X, Y, epochs=3, verbose=0)
    assert_same(trainer, other)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


SPACE = {"learning_rate": [0.01, 0.1, 1.0], "layer_sizes": [[3, 4, 2], [3, 8, 2], [3, 40, 2]]}


def test_sweeps_and_ensembles_by_jobs():
    tables = []
    for n_jobs in (None, 2):
        sweep = Sweep(SPACE, loss="cross_entropy", schedule="cosine", seed=1)
        options = {"validation_data": (X[:20], LABELS[:20]), "metric": "accuracy", "halving": 3, "verbose": 0}
        tables.append(sweep.fit(X, LABELS, epochs=9, n_jobs=n_jobs, **options))
    assert tables[0] == tables[1]
    both = [Ensemble(3, [3, 4, 2], seed=0) for _ in "12"]
    for ensemble, n_jobs in zip(both, (None, 2), strict=True):
        assert len(ensemble.fit(X, Y, epochs=3, n_jobs=n_jobs, verbose=0)) == 3
    np.testing.assert_array_equal(both[0].predict_each(X), both[1].predict_each(X))


def test_samples_that_processes_read_from_a_file():
    wide = np.random.default_rng(0).normal(size=(9000, 40)).astype(np.float32)  # over a megabyte
    together, alone = ([Trainer([40, 8, 2], seed=i) for i in range(3)] for _ in "12")
    fit_many(together, wide, wide[:, :2], n_jobs=2, verbose=0)
    for trainer, other in zip(together, alone, strict=True):
        other.fit(wide, wide[:, :2], verbose=0)
        assert_same(trainer, other)


def test_bad_arguments(monkeypatch):
    for n_jobs, kind in ((0, ValueError), (True, TypeError), (1.5, TypeError), ("2", TypeError)):
        with pytest.raises(kind, match="n_jobs: expected None, or an integer other than 0, got"):
            fit_many(some(2), X, Y, n_jobs=n_jobs)
    with pytest.raises(ValueError, match="X"):
        fit_many(some(2), X[:, :2], Y, n_jobs=2, verbose=0)
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(ImportError, match=r"n_jobs needs joblib: pip install 'fastbp\[many\]'"):
        fit_many(some(2), X, Y, n_jobs=2)


def test_a_dask_cluster_gives_the_same(cluster):
    cluster.two()
    kinds = [{"layer_sizes": [3, 4, 2], "seed": 1} | options for options in KINDS.values()]
    options = {"validation_data": (X, Y), "metrics": pid, "epochs": 2, "verbose": 0}
    with joblib.parallel_config("dask"):
        plain = fit_many(kinds, X, Y, epochs=2, verbose=0)
        measured = fit_many(kinds, X, Y, **options)
    for outcome, other in zip(plain, fit_many(kinds, X, Y, epochs=2, verbose=0), strict=True):
        assert_same(outcome.trainer, other.trainer)
    places = {outcome.history["pid"][0] for outcome in measured}
    assert os.getpid() not in places
    assert places <= set(map(float, cluster.client.run(os.getpid).values()))


def test_data_of_their_own_on_a_dask_cluster(cluster):
    cluster.two()
    together, alone = some(3), some(3)
    Xs, ys = [X[:20], X[5:], X], [Y[:20], Y[5:], Y]
    with joblib.parallel_config("dask"):
        fit_many(together, Xs, ys, epochs=2, verbose=0)
    for trainer, other, x, y in zip(together, alone, Xs, ys, strict=True):
        other.fit(x, y, epochs=2, verbose=0)
        assert_same(trainer, other)


def test_a_dask_worker_that_is_killed_is_missed_by_nobody(cluster):
    """Kill −9 of one of two workers while it trains points of a halving sweep."""
    options = {"validation_data": (X, Y), "halving": 2, "epochs": 8000, "verbose": 0}
    space = {"learning_rate": [0.001, 0.003, 0.01], "batch_size": [5, 10]}
    sweeps = [Sweep(space, layer_sizes=[3, 8, 2], optimizer="adam", seed=0) for _ in "12"]
    victim, client, busy = cluster.two()[0], cluster.client, []
    address = next(where for where, number in client.run(os.getpid).items() if number == victim.pid)

    def kill():
        while not any(key.startswith("batch") for key in client.processing().get(address, ())):
            time.sleep(0.01)
        busy.append(client.processing()[address])
        victim.send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with joblib.parallel_config("dask"):
        table = sweeps[0].fit(X, Y, **options)
    assert victim.poll() == -signal.SIGKILL  # before the sweep ended
    killer.join()
    assert busy[0]
    assert len(client.nthreads()) == 1
    assert table == sweeps[1].fit(X, Y, **options)
    for trainer, other in zip(sweeps[0].trainers, sweeps[1].trainers, strict=True):
        assert_same(trainer, other)


def test_a_network_that_dask_gives_up_is_that_networks_error(cluster):
    """Of which so many workers died as Dask allows, here one; joblib itself would wait for ever."""
    from distributed.scheduler import KilledWorker

    cluster.two()
    cluster.allow_failures(0)
    trainers, alone = some(8), some(8)
    seen = []
    options = {"epochs": 2, "callbacks": die, "on_finish": lambda outcome: seen.append(outcome.number), "verbose": 0}
    with (
        joblib.parallel_config("dask"),
        pytest.warns(RuntimeWarning, match=r"of 8 networks failed; .* all those workers died while running it"),
    ):
        outcomes = fit_many(trainers, X, Y, **options)
    cluster.allow_failures(3)
    assert sorted(seen) == list(range(8))
    failed = [outcome for outcome in outcomes if outcome.error]
    assert 3 in [outcome.number for outcome in failed]
    assert len(failed) < 8  # others that went to the same worker may be among them
    for outcome, trainer, other in zip(outcomes, trainers, alone, strict=True):
        assert outcome.trainer is trainer
        if outcome.error:
            assert isinstance(outcome.error, KilledWorker)
        else:
            other.fit(X, Y, epochs=2, verbose=0)
        assert_same(trainer, other)
