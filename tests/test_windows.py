"""fastbp without what only POSIX has, and with the integers of NumPy 1 on Windows, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Names that Windows lacks. os.name stays, because the standard library of this system needs it.
WITHOUT_POSIX = """
import ctypes, importlib.abc, os, signal, sys, time
import multiprocessing, pathlib, subprocess, tempfile  # the standard library's own use of it
import numpy, pandas, scipy, sklearn  # likewise

for module, names in {
    os: '''chown chroot ctermid fchmod fchown fork forkpty getegid geteuid getgid getgrouplist getgroups getloadavg
        getpgid getpgrp getpriority getresuid getsid getuid getxattr initgroups kill killpg lchown lockf mkfifo mknod
        nice openpty pathconf posix_fadvise posix_fallocate posix_spawn pread preadv pwrite pwritev register_at_fork
        sched_getaffinity sched_setaffinity sched_yield sched_getparam sched_getscheduler sched_setscheduler sendfile
        setegid seteuid setgid setpgid setpriority setsid setuid statvfs sync sysconf tcgetpgrp wait3 wait4
        waitid O_NONBLOCK O_NOFOLLOW O_CLOEXEC O_DIRECTORY O_DSYNC O_SYNC F_LOCK''',
    signal: '''alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigwait
        sigtimedwait SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2
        SIGWINCH SIGXCPU SIGXFSZ''',
    time: 'clock_gettime clock_getres clock_settime pthread_getcpuclockid tzset CLOCK_MONOTONIC',
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

for name in ('fcntl', 'grp', 'pty', 'pwd', 'resource', 'termios', 'tty', 'syslog'):
    sys.modules[name] = None


class Library(ctypes.PyDLL):
    def __getattr__(self, name):
        if name.startswith(('sched_', 'pthread_', 'sysctl')):
            raise AttributeError(name)
        return super().__getattr__(name)


ctypes.PyDLL = Library
"""

WORK = """
import json, os, pickle, sys
import numpy as np
from fastbp import Ensemble, Sweep, Trainer, fit_many
from fastbp.__main__ import main
from fastbp.callbacks import Checkpoint, CSVLogger
from fastbp.sklearn import MLPClassifier

os.chdir(sys.argv[1])
rng = np.random.default_rng(0)
X, y = rng.normal(size=(300, 6)).astype(np.float32), rng.integers(3, size=300)
found = {}
options = {"loss": "cross_entropy", "seed": 1, "learning_rate": 0.01}
for optimizer in ("sgd", "adam"):
    trainer = Trainer([6, 40, 3], optimizer=optimizer, n_threads=2, dropout=0.1, **options)
    callbacks = [Checkpoint("best.npz"), CSVLogger("log.csv")]
    trainer.fit(X, y, epochs=3, validation_split=0.2, metrics="accuracy", callbacks=callbacks, verbose=0)
    trainer.train_on_batch(X[:9], y[:9])
    trainer.save("model.npz")
    again = Trainer.load("best.npz")
    again.fit(X, y, epochs=5, initial_epoch=3, verbose=0)
    found[optimizer] = [trainer.predict(X).tobytes().hex(), again.predict(X).tobytes().hex()]
    found[optimizer] += [pickle.loads(pickle.dumps(trainer)).predict(X[:1]).tobytes().hex()]
tiny = [Trainer([6, 4, 3], batch_size=7, **options | {"seed": seed}) for seed in range(20)]
outcomes = fit_many(tiny, X, y, epochs=4, n_threads=2, verbose=0)
assert [(outcome.epochs, outcome.error) for outcome in outcomes] == [(4, None)] * 20
found["tiny"] = [outcome.trainer.predict(X[:2]).tobytes().hex() for outcome in outcomes]
bounded = Trainer([6, 5, 3], batch_size=7, max_norm=1.0, clip_norm=1.0, schedule="cosine", **options)
bounded.fit(X, y, epochs=2, sample_weight=np.ones(300), class_weight="balanced", verbose=0)
found["bounded"] = bounded.predict(X[:2]).tobytes().hex()
found["gradients"] = bounded.gradients(X[:5], y[:5]).weights[0].tobytes().hex()
estimator = MLPClassifier((8,), max_iter=5, tol=0, n_iter_no_change=99, random_state=0).fit(X, y)
found["estimator"] = estimator.predict_proba(X[:2]).tobytes().hex()
sweep = Sweep({"layer_sizes": [[6, 4, 3]], "learning_rate": [0.1, 0.2]}, seed=0, loss="cross_entropy")
found["sweep"] = [row["loss"] for row in sweep.fit(X, y, epochs=2, validation_data=(X, y), verbose=0)]
np.savez("data.npz", X=X, y=y)
for command in (
    "train data.npz --out table.npz --epochs 2 --seed 0 --resume --quiet",
    "predict table.npz data.npz --out out.csv",
    "evaluate table.npz data.npz",
    "explain table.npz data.npz",
    "info",
):
    assert main([*command.split(), *["--json"] * ("--quiet" not in command)]) == 0, command
with open("out.csv") as file:
    found["table"] = file.read()
print("\\nfound " + json.dumps(found))
"""

# As NumPy 1 makes integers on Windows: of 32 bits, if nobody says otherwise. The kernels take 64.
SHORT_INTEGERS = """
import functools, sys
import numpy

PLACES = {"array": 1, "arange": 3, "full": 2}  # of the argument dtype

def shortened(name, function):
    @functools.wraps(function)
    def call(*arguments, dtype=None, **options):
        if len(arguments) > PLACES[name]:
            *arguments, dtype = arguments
        dtype = numpy.int32 if dtype is int else dtype
        made = function(*arguments, **options) if dtype is None else function(*arguments, dtype=dtype, **options)
        plain = dtype is None and made.dtype == numpy.int64 and not any(hasattr(a, "dtype") for a in arguments)
        ours = sys._getframe(1).f_globals.get("__name__", "").startswith("fastbp")
        return made.astype(numpy.int32) if plain and ours else made
    return call

for name in PLACES:
    setattr(numpy, name, shortened(name, getattr(numpy, name)))

from fastbp._kernels import codes

def checked(kind):
    make = kind.__new__
    def new(cls, *values, **named):
        made = make(cls, *values, **named)
        for field, value in zip(kind._fields, made):
            short = isinstance(value, numpy.ndarray) and value.dtype.kind == "i" and value.dtype.itemsize < 8
            assert not short, f"{kind.__name__}.{field} has {value.dtype}"
        return made
    kind.__new__ = new

for value in list(vars(codes).values()):
    if hasattr(value, "_fields"):
        checked(value)
"""


def run(code: str, folder: Path) -> str:
    """What a process finds, as text."""
    folder.mkdir()
    path = os.pathsep.join(filter(None, sys.path))
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.stdout.rpartition("\nfound ")[2]


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> str:
    """What this system finds."""
    return run(WORK, tmp_path_factory.mktemp("here") / "folder")


@pytest.mark.parametrize(
    "other", [WITHOUT_POSIX, SHORT_INTEGERS], ids=["without what only POSIX has", "integers of 32 bits"]
)
def test_windows_finds_the_same_numbers(here, tmp_path, other):
    assert run(other + WORK, tmp_path / "folder") == here
