"""The work in scikit-learn. Its output layer is the identity, so it may compute one sigmoid less than the others."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from .workloads import ADAM_ETA, BETA_1, BETA_2, EPOCHS, ETA, TINY, Array, Predict, Training, Workload, parameters

ACTIVATIONS = {"sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
SOLVERS = {"sgd": ETA, "adam": ADAM_ETA}  # with their learning rates


def _model(work: Workload, batch: int, dtype: npt.DTypeLike) -> Any:
    """Return an MLPRegressor with the initial weights of all peers."""
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(
        hidden_layer_sizes=work.sizes[1:-1],
        activation=ACTIVATIONS[work.activation],
        solver=work.optimizer,
        alpha=0,
        batch_size=batch,
        learning_rate_init=SOLVERS[work.optimizer],
        momentum=0,
        nesterovs_momentum=False,
        beta_1=BETA_1,
        beta_2=BETA_2,
        epsilon=TINY,
        max_iter=EPOCHS,
        shuffle=False,
        tol=0,
        n_iter_no_change=10**6,
        warm_start=True,  # continue training, as the others do
        random_state=0,
    )
    target = np.zeros((batch, work.sizes[-1]), dtype)
    model.partial_fit(np.zeros((batch, work.sizes[0]), dtype), target[:, 0] if work.sizes[-1] == 1 else target)
    weights, model.intercepts_ = parameters(work.sizes, dtype)
    model.coefs_ = [np.ascontiguousarray(w.T) for w in weights]
    if work.optimizer == "adam":
        from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

        model._optimizer = AdamOptimizer(model.coefs_ + model.intercepts_, ADAM_ETA, BETA_1, BETA_2, TINY)
    return model


def train(work: Workload, X: Array, y: Array, threads: int) -> Training:
    """Train with `fit` and a warm start, or with a call of `partial_fit` for each batch."""
    model = _model(work, work.rows, X.dtype)
    target = y[:, 0] if y.shape[1] == 1 else y

    def calls() -> Any:
        for _ in range(EPOCHS):
            for i in range(0, len(X), work.rows):
                model.partial_fit(X[i : i + work.rows], target[i : i + work.rows])
        return model

    def fit() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about no convergence in five epochs
            return model.fit(X, target)

    return Training(calls if work.kind == "calls" else fit, lambda: ([w.T for w in model.coefs_], model.intercepts_))


def predict(work: Workload, threads: int, dtype: npt.DTypeLike) -> Predict:
    """Predict with `MLPRegressor.predict`."""
    return _model(work, 1, dtype).predict
