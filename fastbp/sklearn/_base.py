"""The common base class of the two estimators: parameters, fitting and predictions."""

from __future__ import annotations

import math
import multiprocessing
import threading
from collections.abc import Mapping, Set
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .._checks import cast, is_sequence, shown, whole, wrong
from ..activations import HIDDEN
from ..history import History
from ..network import Views, own_arrays
from ..optimizers import LBFGS, OPTIMIZERS, Optimizer
from ..trainer import Trainer
from ._changes import go_on
from ._input import FIT, VALIDATION, Names, Whole, named, refuse, sample_weights, validation_parts
from ._pieces import DENSE_BYTES, Samples, as_rows, dense, rows_at_once
from ._solvers import NON_FINITE, Solvers

Array = npt.NDArray[Any]


def activation_name(name: str) -> str:
    """Return fastbp's name of an activation, which may have scikit-learn's name."""
    return {"logistic": "sigmoid"}.get(name, name)


def assign(name: str, views: list[Array], values: Any) -> None:
    """Check all arrays, then copy them into the views."""
    for view, array in zip(views, own_arrays(name, views, values), strict=True):
        view[...] = array


class BaseMLP(Solvers):
    """The common part of the estimators."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Whole(1)],
        "activation": [StrOptions({"logistic", *HIDDEN}), "array-like"],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Whole(1)],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Whole(1)],
        "shuffle": ["boolean"],
        "random_state": [Whole(0, 2**32 - 1), np.random.RandomState, None],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Whole(1), Options(Real, {np.inf})],
        "max_fun": [Whole(1)],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "optimizer": [None, StrOptions(set(OPTIMIZERS)), Optimizer],
        "metrics": "no_validation",
        "callbacks": "no_validation",
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "n_threads": [StrOptions({"auto"}), Whole(1)],
    }

    @property
    def coefs_(self) -> list[Array]:
        """Θˡ.T of each layer, (n_l, n_{l+1}): views of the trained weights."""
        return Views([theta.T for theta in self._fitted().weights])

    @coefs_.setter
    def coefs_(self, values: Any) -> None:
        assign("coefs_", self.coefs_, values)

    @property
    def intercepts_(self) -> list[Array]:
        """bˡ of each layer, (n_{l+1},): views of the trained biases."""
        return self._fitted().biases

    @intercepts_.setter
    def intercepts_(self, values: Any) -> None:
        assign("intercepts_", self.intercepts_, values)

    def _fitted(self) -> Trainer:
        if "trainer_" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no weights before it is fitted")
        trainer: Trainer = self.trainer_
        return trainer

    # What the classifier and the regressor implement

    def _validate_input(
        self, X: Any, y: Any, *, incremental: bool, reset: bool, names: Names = FIT
    ) -> tuple[Any, Array]:
        """Check X and y. The returned y is (n,) or (n, n_L). names: the names of the arguments in messages."""
        raise NotImplementedError

    def _n_outputs(self, y: Array) -> int:
        """Return n_L for such a y."""
        raise NotImplementedError

    def _encode(self, argument: str, y: Array, n_outputs: int, dtype: np.dtype[Any]) -> Samples:
        """Return samples without X: the targets or labels of a y from `_validate_input`, checked for the loss."""
        raise NotImplementedError

    def _objective(self) -> tuple[Any, str]:
        """Return the loss, and scikit-learn's name of the output activation."""
        raise NotImplementedError

    def _score_outputs(self, output: Array, samples: Samples) -> float:
        """Return the accuracy or R² of a network's outputs."""
        raise NotImplementedError

    def _class_weights(self, y: Any, incremental: bool, dtype: np.dtype[Any]) -> Array | None:
        """Return (n,) weights of the samples by their classes, or None."""
        return None

    # Fitting

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool, validation_data: Any = None) -> Any:
        """Fit the network, or train for one epoch if incremental."""
        self._validate_params()
        sizes = self._hidden_layer_sizes()
        first = "trainer_" not in vars(self) or (not self.warm_start and not incremental)
        X, y = self._validate_input(X, y, incremental=incremental, reset=first)
        n_outputs = self._n_outputs(y) if first else self.n_outputs_
        dtype = X.dtype if first else self.trainer_.dtype
        samples = self._samples(X, y, sample_weight, FIT, n_outputs, dtype)
        samples = self._weighted(samples, y, incremental)
        validation = None
        if validation_data is not None:
            validation = self._validation(validation_data, n_outputs, dtype)
        self._random_state = check_random_state(self.random_state)
        if first:
            self._initialize(X, y, sizes)
        else:
            go_on(self, sizes, incremental=incremental)
        trainer = self.trainer_
        trainer.n_threads, trainer.shuffle = self._threads(), bool(self.shuffle)
        method = self._method()
        if isinstance(method, LBFGS):
            self._fit_lbfgs(samples, method, validation)
        else:
            self._fit_stochastic(samples, method, incremental, validation)
        if not np.isfinite(trainer.network._parameters).all():
            raise ValueError(NON_FINITE)
        return self

    def _hidden_layer_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, Mapping | Set):
            raise TypeError(wrong("hidden_layer_sizes", "an integer or a list of integers", shown(sizes)))
        sizes = list(sizes) if is_sequence(sizes) else [sizes]
        if any(isinstance(size, Integral) and size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [whole("hidden_layer_sizes", size, minimum=1) for size in sizes]

    def _x_dtype(self) -> Any:
        return (np.float64, np.float32) if self.dtype == "auto" else np.dtype(self.dtype)

    def _threads(self) -> int | str:
        """Return n_threads. In joblib's threads and processes, "auto" is 1, because others work at the same time."""
        if self.n_threads != "auto":
            return int(self.n_threads)
        alone = threading.current_thread() is threading.main_thread() and multiprocessing.parent_process() is None
        return "auto" if alone else 1

    def _initialize(self, X: Any, y: Array, hidden: list[int]) -> None:
        """Create the network, with weights drawn from random_state in scikit-learn's order."""
        self.n_iter_ = self.t_ = 0
        self.n_outputs_ = self._n_outputs(y)
        sizes = [X.shape[1], *hidden, self.n_outputs_]
        self.n_layers_ = len(sizes)
        activations = self._activations(len(hidden))
        weights, biases = [], []
        for name, (n_in, n_out) in zip([*activations, activations[-1]], pairwise(sizes), strict=False):
            bound = math.sqrt((2 if name == "sigmoid" else 6) / (n_in + n_out))
            weights.append(self._random_state.uniform(-bound, bound, (n_in, n_out)).T)
            biases.append(self._random_state.uniform(-bound, bound, n_out))
        self._build(sizes, weights, biases, dtype=X.dtype)
        if isinstance(self._method(), LBFGS):
            self.__dict__.pop("validation_scores_", None)
        else:
            self._start_records()

    def _build(self, sizes: list[int], weights: list[Array], biases: list[Array], *, dtype: Any) -> None:
        """Create the trainer with these weights."""
        loss, self.out_activation_ = self._objective()
        n_hidden, method = len(sizes) - 2, self._method()
        self.trainer_ = Trainer(
            sizes,
            activation=self._activations(n_hidden)[:n_hidden],
            loss=loss,
            optimizer="lbfgs" if isinstance(method, LBFGS) else "sgd",  # `_equip` sets the optimizer that trains
            batch_size=200 if self.batch_size == "auto" else int(self.batch_size),
            initializer=(weights, biases),
            dropout=self.dropout,
            dtype=dtype,
            seed=self._dropout_seed(),
        )
        self._equip(method)
        self.history_ = History()
        self.__dict__.pop("_optimizer")  # the first fit starts one

    def _activations(self, n_hidden: int) -> list[str]:
        """Return the activations of the hidden layers. At least one is needed to draw the output layer's weights."""
        if isinstance(self.activation, str):
            return [activation_name(self.activation)] * max(1, n_hidden)
        names = [activation_name(name) for name in self.activation]
        if len(names) != n_hidden:
            raise ValueError(f"activation must have a name for each of the {n_hidden} hidden layers, got {names}.")
        return names or ["identity"]

    def _dropout_seed(self) -> int:
        """Draw a seed from a copy of random_state, so that its own numbers stay the same as in scikit-learn."""
        if not np.any(self.dropout) or "_random_state" not in vars(self):
            return 0
        copy = np.random.RandomState()
        copy.set_state(self._random_state.get_state())
        return int(copy.randint(1 << 31))

    def _samples(
        self, X: Any, y: Array, sample_weight: Any, names: Names, n_outputs: int, dtype: np.dtype[Any]
    ) -> Samples:
        """Convert the results of `_validate_input` for the epochs."""
        samples = self._encode(names.y, y, n_outputs, dtype)
        if not isinstance(X, np.ndarray):
            X = X.tocsr()
            if math.prod(X.shape) * dtype.itemsize <= DENSE_BYTES:
                X = X.toarray()
        weights = sample_weights(names.sample_weight, sample_weight, X, dtype)
        return samples._replace(X=as_rows(names.X, X, dtype), weights=weights)

    def _weighted(self, samples: Samples, y: Any, incremental: bool) -> Samples:
        """Return the samples with class_weight multiplied into their weights."""
        by_class = self._class_weights(y, incremental, samples.targets.dtype)
        if by_class is None:
            return samples
        weights = by_class if samples.weights is None else samples.weights * by_class
        if not incremental and not weights.any():
            raise ValueError(wrong("class_weight", "a weight > 0 for at least one sample", "only 0"))
        return samples._replace(weights=cast("class_weight", weights, samples.targets.dtype))

    def _validation(self, value: Any, n_outputs: int, dtype: np.dtype[Any]) -> Samples:
        """Check and convert the user's validation data."""
        X, y, sample_weight = validation_parts(value)
        with named("validation_data"):
            X, y = self._validate_input(X, y, incremental=True, reset=False, names=VALIDATION)
            return self._samples(X, y, sample_weight, VALIDATION, n_outputs, dtype)

    def _check_solver(self) -> bool:
        name = self.solver if self.optimizer is None else self.optimizer  # the parameters are not checked yet
        if isinstance(name, LBFGS) or (isinstance(name, str) and name == "lbfgs"):
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    # Predictions

    def _outputs(self, X: Any) -> Array:
        """Return aᴸ of each row of X, (n, n_L)."""
        check_is_fitted(self)
        refuse("X", X)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        return self._forward(X)

    def _forward(self, X: Any) -> Array:
        """Return aᴸ for a checked X; NaN if the weights or X contain NaN."""
        trainer, threads = self.trainer_, self._threads()
        if not isinstance(X, np.ndarray) and X.shape[0] > (count := rows_at_once(X, trainer.dtype)):
            X = X.tocsr()
            return np.concatenate([self._forward(X[start : start + count]) for start in range(0, X.shape[0], count)])
        rows = np.require(dense(X, trainer.dtype), trainer.dtype, "C")
        output = trainer._state.engine.predict(rows, threads)
        if output is None:
            raise ValueError(f"Input X contains infinity or a value too large for {trainer.dtype}.")
        return output

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
