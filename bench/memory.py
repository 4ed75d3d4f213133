"""asv: peak memory of training, and the memory of a process that does not train.

The documented amount, besides X and y, is parameters × (1 + the optimizer's numbers for each) + the workspace of one
batch.
"""

from __future__ import annotations

import contextlib
from itertools import pairwise
from pathlib import Path
from typing import Any

from .workloads import GRID, new_trainer, uniform

# name → numbers kept for each parameter, class in fastbp.optimizers, its arguments
OPTIMIZERS: dict[str, tuple[int, str, dict[str, float]]] = {
    "sgd": (0, "SGD", {}),
    "momentum": (1, "SGD", {"momentum": 0.9}),
    "rmsprop": (1, "RMSprop", {}),
    "adam": (2, "Adam", {}),
}
SAMPLES = 8192  # X is larger than the network
ITEMSIZE = 4  # bytes of a float32
MIB = 2**20


def trainer(sizes: tuple[int, ...], batch: int, optimizer: str) -> Any:
    """Return a Trainer with that optimizer. Early commits know only plain SGD, by its name."""
    chosen: object = optimizer
    _, name, arguments = OPTIMIZERS[optimizer]
    with contextlib.suppress(ImportError, AttributeError):
        from fastbp import optimizers

        chosen = getattr(optimizers, name)(**arguments)
    return new_trainer(sizes, batch_size=batch, optimizer=chosen)


def forget_peak() -> None:
    """Set the peak memory of this process to its current memory (Linux only)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:
        raise NotImplementedError(str(error)) from error


def resident(field: str) -> float:
    """Return MiB of this process: VmRSS is the current memory, VmHWM the peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


class Fit:
    """Create a Trainer and fit one epoch. The kernels are built, and X and y exist."""

    params = (["784-512-512-10, 128", "1024-1024-1024-10, 256"], [*OPTIMIZERS])
    param_names = ("sizes, batch", "optimizer")
    timeout = 120

    def setup_cache(self) -> None:
        """Build the kernels in another process, because the compiler's memory would hide that of training."""
        with contextlib.suppress(NotImplementedError):
            for optimizer in OPTIMIZERS:
                self.warm_up(optimizer)

    def warm_up(self, optimizer: str) -> None:
        for sizes in ((2, 2, 2), (64, 64, 10)):
            trainer(sizes, 2, optimizer).fit(uniform(4, sizes[0]), uniform(4, sizes[-1]), verbose=0)

    def setup(self, name: str, optimizer: str) -> None:
        self.sizes, self.batch = GRID[name]
        self.optimizer = optimizer
        self.warm_up(optimizer)
        self.X, self.y = uniform(SAMPLES, self.sizes[0]), uniform(SAMPLES, self.sizes[-1])

    def fit(self) -> None:
        trainer(self.sizes, self.batch, self.optimizer).fit(self.X, self.y, verbose=0)

    def peakmem_fit(self, *_) -> None:
        self.fit()

    def peakmem_zero_line(self, *_) -> None:
        pass

    def track_over_data(self, *_) -> float:
        forget_peak()
        before = resident("VmRSS")
        self.fit()
        return resident("VmHWM") - before

    def track_promised(self, name: str, optimizer: str) -> float:
        """Return the documented MiB. A batch needs a of all layers, δ of all layers but the first, and y."""
        weights = sum((n + 1) * n_next for n, n_next in pairwise(self.sizes))
        batch = self.batch * (2 * sum(self.sizes) - self.sizes[0] + self.sizes[-1])
        return (weights * (1 + OPTIMIZERS[optimizer][0]) + batch) * ITEMSIZE / MIB

    track_over_data.unit = track_promised.unit = "MiB"  # type: ignore[attr-defined]
