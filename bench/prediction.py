"""asv: the time of predict for one row, as in a service, and for many rows, as for a data set."""

from __future__ import annotations

from .workloads import NETWORKS, ROWS, median_seconds, new_trainer, uniform

SIZES = NETWORKS | {"63-33-10": (63, 33, 10)}


class OneRow:
    """One row in each call. X is contiguous and has the network's dtype, as in ManyRows."""

    params = ([*SIZES], ["float32", "float64"])
    param_names = ("sizes", "dtype")
    timeout = 120
    rows, unit = ROWS["one row"], "ns/call"

    def setup(self, name: str, dtype: str, threads: int | str = "auto") -> None:
        self.trainer = new_trainer(SIZES[name], dtype=dtype, n_threads=threads)
        self.X = uniform(self.rows, SIZES[name][0], dtype)
        self.trainer.predict(self.X)  # loads the kernels

    def track_predict(self, *_) -> float:
        return median_seconds(lambda: self.trainer.predict(self.X), 0.2) / self.rows * 1e9


class ManyRows(OneRow):
    params = ([*SIZES], ["float32", "float64"], [1, 2, "auto"])
    param_names = ("sizes", "dtype", "threads")
    rows, unit = ROWS["many rows"], "ns/row"
