"""Two ranks of an MPI job, as threads of this process, train a network of layers as one process does."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from fastbp import Trainer, distributed
from fastbp.layers import PBLD, Dense, Inputs, PiecewiseLinear, Residual


class Ranks:
    """What the ranks of a job share."""

    def __init__(self, n: int) -> None:
        self.n, self.barrier, self.values = n, threading.Barrier(n, timeout=60), [None] * n


class Rank:
    """A communicator of mpi4py, as far as fastbp needs it."""

    def __init__(self, ranks: Ranks, rank: int) -> None:
        self.ranks, self.rank = ranks, rank

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.ranks.n

    def allgather(self, value: Any) -> list[Any]:
        self.ranks.values[self.rank] = value
        self.ranks.barrier.wait()
        values = list(self.ranks.values)
        self.ranks.barrier.wait()
        return values

    def gather(self, value: Any, root: int = 0) -> list[Any] | None:
        values = self.allgather(value)
        return values if self.rank == root else None

    def bcast(self, value: Any, root: int = 0) -> Any:
        return self.allgather(value)[root]

    def Allreduce(self, sent: None, received: np.ndarray) -> None:
        first, *others = self.allgather(received.copy())
        received[...] = sum(others, first)

    def Bcast(self, array: np.ndarray, root: int) -> None:
        array[...] = self.allgather(array.copy())[root]

    def Abort(self, code: int) -> None:
        self.ranks.barrier.abort()


SCHEDULES = {"schedule": "coslog4", "dropout_schedule": "flat_cosine", "weight_decay_schedule": "cosine"}
OPTIONS = {
    "alone": {},
    "ema": {"ema": 0.9},
    "drop_last": {"drop_last": True},
    "frozen": {"frozen": ["dense1", "embedding1"]},
    "groups": {"parameter_groups": {"*.bias": {"learning_rate": 0.1, "weight_decay": 1.0}}},
    "schedules": SCHEDULES,
    "limits": {"l1": 0.01, "l2": 0.1, "clip_norm": 0.5, "max_norm": 0.8},
}


@pytest.mark.parametrize("encoding", [PBLD(3, 5), PiecewiseLinear(5)], ids=["pbld", "piecewise"])
@pytest.mark.parametrize("name", OPTIONS)
def test_two_ranks_train_as_one_process(name, encoding):
    rng = np.random.default_rng(0)
    X, y = np.column_stack([rng.normal(size=(53, 3)), rng.integers(0, 40, 53)]), rng.normal(size=(53, 2))

    def trainer() -> Trainer:
        layers = [Inputs(3, [40]), encoding, Dense(8, "mish", norm="layer", dropout=0.1), Residual(6), Dense(2)]
        options = {"dtype": "float64", "batch_size": 8, "optimizer": "adamw", "n_threads": 1, "seed": 0}
        return Trainer(layers, **options, **OPTIONS[name])

    alone = trainer()
    alone.fit(X, y, epochs=3, verbose=0)
    ranks, trained, errors = Ranks(2), [trainer(), trainer()], []

    def train(rank: int) -> None:
        try:
            trained[rank]._state.ranks = distributed.Ranks(Rank(ranks, rank))
            trained[rank].fit(X, y, epochs=3, verbose=0)
        except BaseException as error:
            errors.append(error)
            ranks.barrier.abort()

    threads = [threading.Thread(target=train, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    for key, theta in alone.named_parameters().items():
        first, second = (each.named_parameters()[key] for each in trained)
        np.testing.assert_allclose(first, theta, rtol=0, atol=1e-12, err_msg=key)
        np.testing.assert_array_equal(first, second, err_msg=key)
    np.testing.assert_allclose(trained[0].history["loss"], alone.history["loss"], rtol=1e-12)
