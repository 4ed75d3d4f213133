"""Compare fit_many, for many networks at once, with JAX's vmap of a scan and PyTorch's batched matrix products.

    python -m bench.many [--rounds 5]

It prints ns per sample and network, for each peer with its better of 1 and 2 threads, the gain by threads for XOR, and
the networks per second in a cross-validation with early stopping.
The peers run in turn. All do the same work, as in fastbp/benchmark/peers.py, for networks with different initial
weights. tests/test_bench.py compares their results.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .workloads import EPOCHS, EPSILON, ETA, GRID, problem

NETWORKS = 64
XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Training = tuple[Callable[[], Any], Callable[[], Any]]  # trains for five more epochs; returns weights and biases


def stacked_parameters(sizes: Sequence[int], count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the initial weights (count, n_{l+1}, n_l) and biases (count, n_{l+1}), the same for every peer."""
    rng = np.random.default_rng(0)
    weights = [rng.uniform(-EPSILON, EPSILON, (count, n_next, n)).astype("f") for n, n_next in pairwise(sizes)]
    return weights, [rng.uniform(-EPSILON, EPSILON, (count, n)).astype("f") for n in sizes[1:]]


def fastbp(sizes, batch, X, y, count, threads) -> Training:
    from fastbp import Trainer, fit_many

    weights, biases = stacked_parameters(sizes, count)
    options = {
        "activation": "sigmoid",
        "output_activation": "sigmoid",
        "batch_size": batch,
        "learning_rate": ETA,
        "shuffle": False,
    }
    networks = [
        Trainer(sizes, initializer=([w[i] for w in weights], [b[i] for b in biases]), **options) for i in range(count)
    ]

    def trained():
        layers = range(len(weights))
        return tuple(
            [np.stack([getattr(n, kind)[l] for n in networks]) for l in layers] for kind in ("weights", "biases")
        )

    return lambda: fit_many(networks, X, y, epochs=EPOCHS, n_threads=threads, verbose=0), trained


def jax_vmap(sizes, batch, X, y, count, threads) -> Training:
    """Train all networks at once, with a scan over the batches of all epochs."""
    import jax
    import jax.numpy as jnp

    weights, biases = stacked_parameters(sizes, count)
    stacked = [(jnp.asarray(w.transpose(0, 2, 1)), jnp.asarray(b)) for w, b in zip(weights, biases, strict=True)]
    xs, ys = jnp.asarray(X).reshape(-1, batch, sizes[0]), jnp.asarray(y).reshape(-1, batch, sizes[-1])

    def loss(layers, x, t):
        for w, b in layers:
            x = jax.nn.sigmoid(x @ w + b)
        return ((x - t) ** 2).sum() / (2 * len(x))

    def step(layers, samples):
        value, gradients = jax.value_and_grad(loss)(layers, *samples)
        return jax.tree.map(lambda p, g: p - ETA * g, layers, gradients), value

    def epochs(layers):
        return jax.lax.scan(lambda state, _: jax.lax.scan(step, state, (xs, ys)), layers, length=EPOCHS)

    state = [jax.jit(jax.vmap(epochs)), stacked]

    def run():
        state[1], losses = state[0](state[1])
        return jax.block_until_ready(losses)

    def trained():
        return [np.asarray(w).transpose(0, 2, 1) for w, _ in state[1]], [np.asarray(b) for _, b in state[1]]

    return run, trained


def pytorch_bmm(sizes, batch, X, y, count, threads) -> Training:
    """Train all networks with one batched product per layer, a gradient written by hand, and all results in place."""
    import torch

    torch.set_num_threads(threads)
    weights, biases = stacked_parameters(sizes, count)
    w = [torch.from_numpy(np.ascontiguousarray(v.transpose(0, 2, 1))) for v in weights]
    b = [torch.from_numpy(v[:, None]) for v in biases]
    xs, ys = torch.from_numpy(X), torch.from_numpy(y)

    @torch.no_grad()
    def run():
        for _ in range(EPOCHS):
            for i in range(0, len(xs), batch):
                a = [xs[i : i + batch].expand(count, -1, -1)]
                for w_l, b_l in zip(w, b, strict=True):
                    a.append(torch.baddbmm(b_l, a[-1], w_l).sigmoid_())
                d = (a[-1] - ys[i : i + batch]).mul_(1 / batch)
                for l in reversed(range(len(w))):
                    d.mul_(a[l + 1] * (1 - a[l + 1]))
                    below = torch.bmm(d, w[l].transpose(1, 2)) if l else d
                    w[l].baddbmm_(a[l].transpose(1, 2), d, alpha=-ETA)
                    b[l].sub_(d.sum(1, keepdim=True), alpha=ETA)
                    d = below
        return w[-1]

    return run, lambda: ([v.numpy().transpose(0, 2, 1) for v in w], [v.numpy()[:, 0] for v in b])


PEERS = {"fastbp": (fastbp, "fastbp"), "JAX vmap": (jax_vmap, "jax"), "PyTorch bmm": (pytorch_bmm, "torch")}


def measured(calls: dict[Any, Callable[[], Any]], rounds: int) -> dict[Any, float]:
    """Return the median seconds of each call. The calls run in turn."""
    seconds: dict[Any, list[float]] = {key: [] for key in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for key, call in calls.items():
            time.sleep(0.05)
            started = time.perf_counter()
            call()
            seconds[key].append(time.perf_counter() - started)
    return {key: statistics.median(values) for key, values in seconds.items()}


def xor(threads: int, count: int = 1000, epochs: int = 5000) -> Callable[[], Any]:
    from fastbp import Trainer, fit_many

    options = {
        "activation": "sigmoid",
        "output_activation": "sigmoid",
        "batch_size": 4,
        "learning_rate": 5,
        "epsilon": 1,
    }
    networks = [Trainer([2, 2, 1], **options, seed=seed) for seed in range(count)]
    return lambda: fit_many(networks, XOR, XOR[:, :1] != XOR[:, 1:], epochs=epochs, n_threads=threads, verbose=0)


def folds(threads: int, optimizer: str, batch: int, count: int = 20, epochs: int = 30) -> Callable[[], Any]:
    """Return a function that trains networks 64-32-10 on five folds of 4,000 rows, with a validation after each epoch.

    No network stops early, so that all do the same work.
    """
    from fastbp import EarlyStopping, Trainer, fit_many

    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((4000, 64)).astype("f"), rng.standard_normal((64, 10))
    y = (np.tanh(X @ W) + rng.standard_normal((4000, 10))).argmax(axis=1)
    fold = rng.permutation(4000) % 5
    training, validation = (
        [(X[rows], y[rows]) for rows in parts]
        for parts in zip(*((fold != f, fold == f) for f in range(5)), strict=True)
    )
    options = {"loss": "cross_entropy", "optimizer": optimizer, "batch_size": batch}

    def run() -> None:
        networks = [Trainer([64, 32, 10], seed=seed, **options) for seed in range(count)]
        parts = [training[i % 5] for i in range(count)]
        stopping = EarlyStopping(patience=epochs)
        fit = {"epochs": epochs, "callbacks": stopping, "n_threads": threads, "verbose": 0}
        fit |= {"validation_data": [validation[i % 5] for i in range(count)]}
        fit_many(networks, [X for X, _ in parts], [y for _, y in parts], **fit)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    peers = {name: build for name, (build, package) in PEERS.items() if importlib.util.find_spec(package)}
    print("| 64 networks | " + " | ".join(peers) + " | × best peer |\n| --- |" + " ---: |" * (len(peers) + 1))
    for name in ("64-32-10, 32", "30-16-2, 32"):
        sizes, batch = GRID[name]
        samples = EPOCHS * len(problem(sizes, batch)[0]) * NETWORKS
        best = {}
        for threads in (1, 2):  # JAX always uses all threads
            X, y = problem(sizes, batch)
            calls = {peer: build(sizes, batch, X, y, NETWORKS, threads)[0] for peer, build in peers.items()}
            for peer, seconds in measured(calls, rounds).items():
                best[peer] = min(best.get(peer, np.inf), seconds / samples * 1e9)
        ratio = min([best[peer] for peer in best if peer != "fastbp"], default=np.nan) / best["fastbp"]
        print(f"| {name} | " + " | ".join(f"{ns:.0f}" for ns in best.values()) + f" | {ratio:.2f} |", flush=True)
    both = measured({threads: xor(threads) for threads in (1, 2)}, rounds)
    print(
        f"1,000 XOR networks, 5,000 epochs: {both[1]:.2f} s, on two threads {both[2]:.2f} s: {both[1] / both[2]:.2f} ×"
    )
    kinds = [(optimizer, batch) for optimizer in ("adam", "sgd") for batch in (32, 128)]
    calls = {(*kind, threads): folds(threads, *kind) for kind in kinds for threads in (1, 2)}
    for (optimizer, batch, threads), seconds in measured(calls, rounds).items():
        print(f"five folds, {optimizer}, batches of {batch}, {threads} threads: {20 / seconds:.0f} networks a second")


class Many:
    """asv: the time of fit_many."""

    params = (["64-32-10, 32", "30-16-2, 32", "2-2-1, 4"], [1, 2])
    param_names = ("network", "n_threads")

    def setup(self, name: str, threads: int) -> None:
        sizes, batch = GRID[name]
        self.call = fastbp(sizes, batch, *problem(sizes, batch), NETWORKS, threads)[0]
        self.call()

    def time_fit_many(self, name: str, threads: int) -> None:
        """Train 64 networks for five epochs."""
        self.call()


class Folds:
    """asv: the time of fit_many with a validation after each epoch."""

    params = (["adam", "sgd"], [32, 128])
    param_names = ("optimizer", "batch_size")

    def setup(self, optimizer: str, batch: int) -> None:
        self.call = folds(2, optimizer, batch)
        self.call()

    def time_folds(self, optimizer: str, batch: int) -> None:
        """Train 20 networks for 30 epochs."""
        self.call()


if __name__ == "__main__":
    main()
