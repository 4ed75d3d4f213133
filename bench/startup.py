"""asv: the time that a user waits before training begins. Each measurement has its own process."""

from __future__ import annotations

from .workloads import new_trainer

EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["NUMBA_CACHE_DIR"] = folder.name
"""
READY = """
import numpy as np
from fastbp import Trainer
trainer = Trainer((64, 32, 10), output_activation="sigmoid")
X, y = np.zeros((32, 64), np.float32), np.zeros((32, 10), np.float32)
"""
FIT = "trainer.fit(X, y, verbose=0)"


class Import:
    number = 1

    def timeraw_fastbp(self) -> str:
        return "import fastbp"

    def timeraw_trainer(self) -> str:
        """Import what fastbp imports only when it is first used."""
        return "from fastbp import Trainer"

    def timeraw_numba(self) -> str:
        """The baseline: fastbp can't do without Numba."""
        return "import numba"


class FirstFit:
    """The first fit of a process that has already imported fastbp."""

    number = 1
    timeout = 300

    def setup(self) -> None:
        new_trainer((64, 32, 10)).fit([[0.0] * 64], [[0.0] * 10], verbose=0)  # fills the cache

    def timeraw_warm_cache(self) -> tuple[str, str]:
        return FIT, READY

    def timeraw_cold_cache(self) -> tuple[str, str]:
        return FIT, EMPTY_CACHE + READY

    # Runs once, because it takes long and varies little.
    timeraw_cold_cache.repeat = 1  # type: ignore[attr-defined]
    timeraw_cold_cache.rounds = 1  # type: ignore[attr-defined]
    timeraw_cold_cache.warmup_time = 0  # type: ignore[attr-defined]
