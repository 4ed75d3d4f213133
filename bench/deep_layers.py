"""A network of 20 layers with norms and residual blocks, on handwritten digits: fastbp and PyTorch, eager and compiled.

    python -m bench.deep_layers [--widths 32 64 128 512] [--rounds 3]

It prints the seconds of an epoch, and the accuracy of fastbp on a quarter of the digits, which it doesn't train with.
PyTorch does the same work: AdamW, cross entropy, batches of 64 rows that are already tensors in a random order. It uses
1 or 2 threads, whichever is faster, and the fused optimizer, which is its fastest on the CPU.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from time import perf_counter

import numpy as np

from fastbp import Trainer
from fastbp.layers import Dense, LayerNorm, Residual
from fastbp.optimizers import AdamW

BATCH, RATE, BLOCKS, CLASSES, EPOCHS = 64, 1e-3, 9, 10, 30


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return X and y to train with, and X and y of the quarter that is left."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y)
    return train, y_train, test, y_test


def trainer_of(width: int, n_in: int, seed: int = 0) -> Trainer:
    """Return a network with an affine layer, nine residual blocks of two, and the output layer."""
    block = [LayerNorm(), Dense(width, "relu"), Dense(width, "identity")]
    layers = [n_in, Dense(width, "relu"), *[Residual(block)] * BLOCKS, CLASSES]
    return Trainer(
        layers, loss="cross_entropy", optimizer=AdamW(RATE), batch_size=BATCH, initializer="he_uniform", seed=seed
    )


def torch_epoch(width: int, X: np.ndarray, y: np.ndarray, *, compiled: bool) -> Callable[[], None]:
    """Return a function that trains the same network in PyTorch for an epoch."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.inner(x)

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(X.shape[1], width), nn.ReLU(), *[Block() for _ in range(BLOCKS)], nn.Linear(width, CLASSES)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    inputs, labels = torch.from_numpy(X), torch.from_numpy(y.astype(np.int64))

    def loss_of(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(model(x), t)

    loss = torch.compile(loss_of) if compiled else loss_of

    def epoch() -> None:
        order = torch.randperm(len(inputs))
        for start in range(0, len(inputs) - len(inputs) % BATCH, BATCH):  # whole batches: compiled for one size
            chosen = order[start : start + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss(inputs[chosen], labels[chosen]).backward()
            optimizer.step()

    return epoch


def best_of_threads(epoch: Callable[[], None], rounds: int) -> float:
    """Return the seconds of an epoch with the better number of threads: the median of some rounds."""
    import torch

    medians = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        epoch()
        medians.append(statistics.median(seconds(epoch) for _ in range(rounds)))
    return min(medians)


def seconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = perf_counter()
    function()
    return perf_counter() - started


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128, 512])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    X, y, X_test, y_test = digits()
    print("width   fastbp   eager  ratio   compiled  ratio   accuracy of fastbp after", EPOCHS, "epochs")
    for width in arguments.widths:
        trainer = trainer_of(width, X.shape[1])
        trainer.fit(X, y, epochs=5, verbose=0)  # the number of threads is chosen by then
        times = [seconds(lambda: trainer.fit(X, y, epochs=5, verbose=0)) / 5 for _ in range(max(3, arguments.rounds))]  # noqa: B023
        ours = statistics.median(times) * (len(X) // BATCH * BATCH / len(X))  # PyTorch's epochs leave out 3 rows
        eager, compiled = (
            best_of_threads(torch_epoch(width, X, y, compiled=compiled), arguments.rounds) for compiled in (False, True)
        )
        fresh = trainer_of(width, X.shape[1])
        fresh.fit(X, y, epochs=EPOCHS, verbose=0)
        accuracy = fresh.evaluate(X_test, y_test, metrics="accuracy")["accuracy"]
        print(
            f"{width:5}  {ours * 1e3:4.1f} ms  {eager * 1e3:6.1f} {eager / ours:5.1f} ×  {compiled * 1e3:8.1f} "
            f"{compiled / ours:5.1f} ×  {accuracy:9.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
