"""The work in fastbp itself."""

from __future__ import annotations

from typing import Any

from ..optimizers import SGD, Adam, AdamW
from ..trainer import Trainer
from .workloads import (
    ADAM_ETA,
    BETA_1,
    BETA_2,
    DECAY,
    EPOCHS,
    ETA,
    TINY,
    Array,
    DType,
    Predict,
    Training,
    Workload,
    parameters,
)

OPTIMIZERS = {
    "sgd": SGD(ETA),
    "adam": Adam(ADAM_ETA, BETA_1, BETA_2, TINY),
    "adamw": AdamW(ADAM_ETA, BETA_1, BETA_2, TINY, DECAY),
}


def _trainer(work: Workload, dtype: DType, threads: int, **options: Any) -> Trainer:
    return Trainer(
        work.sizes,
        activation=work.activation,
        output_activation=work.output,
        initializer=parameters(work.sizes, dtype),
        dtype=dtype,
        n_threads=threads,
        **options,
    )


def train(work: Workload, X: Array, y: Array, threads: int) -> Training:
    """Train with `fit`, or with a call of `train_on_batch` for each batch."""
    options = {"batch_size": work.rows, "optimizer": OPTIMIZERS[work.optimizer], "shuffle": False}
    trainer = _trainer(work, X.dtype, threads, **options)

    def calls() -> Any:
        for _ in range(EPOCHS):
            for i in range(0, len(X), work.rows):
                J = trainer.train_on_batch(X[i : i + work.rows], y[i : i + work.rows])
        return J

    def fit() -> Any:
        return trainer.fit(X, y, epochs=EPOCHS, verbose=0)

    return Training(calls if work.kind == "calls" else fit, lambda: (list(trainer.weights), list(trainer.biases)))


def predict(work: Workload, threads: int, dtype: DType) -> Predict:
    """Predict with `Trainer.predict`."""
    return _trainer(work, dtype, threads).predict
