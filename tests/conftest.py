"""Hypothesis profiles and the data sets that several tests share."""

from __future__ import annotations

import os
from itertools import product
from pathlib import Path

# Before NumPy is imported. Networks of the tests are small: threads of other libraries would wait, at full speed.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from fastbp._library.library import library
from tests.cases import DTYPES

settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_sessionstart(session):
    """Build the kernels before the first test, so that no test waits for them or hears that they are built."""
    # The controller of pytest-xdist has done it for its workers, and a session for pytest in one of its tests.
    done = hasattr(session.config, "workerinput") or "PYTEST_CURRENT_TEST" in os.environ
    if not done and not session.config.option.collectonly:
        for dtype, kernels in product(DTYPES, ("network", "graph")):
            library(dtype, kernels)


# Files whose tests watch time, signals or memory, or start processes of their own that keep both cores busy.
ONE_AFTER_ANOTHER = {
    *("test_distributed", "test_jobs", "test_interruption", "test_stress_concurrency", "test_stress_files"),
    *("test_benchmark", "test_team"),
}
# Files of tests/_kernels that use kernels of each other. Numba's cache isn't safe where two processes store the same.
WITH_THE_SAME_KERNELS = {
    "products": {"test_tile", "test_updates", "test_wide"},
    "rows": {"test_activations", "test_losses"},
}


def group_of(test: str) -> str:
    """Return the group of a test by its id: the tests of a group run in one process of pytest-xdist.

    The tests of one file of tests/_kernels use the same kernels, which one process compiles and stores. Elsewhere a
    group is the cases of a test.
    """
    path = Path(test.partition("::")[0])
    if path.stem in ONE_AFTER_ANOTHER:
        return "one after another"
    if path.parent.name != "_kernels":
        return test.partition("[")[0]
    return next((group for group, stems in WITH_THE_SAME_KERNELS.items() if path.stem in stems), path.stem)


def pytest_collection_modifyitems(items):
    """Let the longest group begin."""
    items.sort(key=lambda item: item.path.stem not in ONE_AFTER_ANOTHER)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Share the tests out by their groups. The markers of --dist loadgroup have no effect with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid)

    return Groups(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits: X_train, y_train, X_test, y_test; pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = (X[order] / 16).astype(np.float32), y[order]
    return X[:1438], y[:1438], X[1438:], y[1438:]


@pytest.fixture
def xor():
    """The four samples of XOR."""
    return np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0, 1, 1, 0])


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
