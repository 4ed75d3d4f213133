"""Trainer: checks what it is given, then runs epochs in the kernels, in chunks between which Python lives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import cached_property
from time import perf_counter
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import _checks, metrics as metric_functions
from ._compiling import said_if_compiling
from ._engine import BLOCK, Engine
from ._kernels import codes
from .activations import ACTIVATIONS
from .callbacks import Callback, as_callbacks, progress
from .history import History
from .initializers import uniform
from .losses import LOSSES, encode, output_activation as resolve_output
from .network import Network
from .optimizers import OPTIMIZERS
from .results import DivergenceError, Gradients, Summary, layer_table

Array = npt.NDArray[Any]

CHUNK_SECONDS = 0.1  # that a kernel may run before Python is asked for Ctrl-C, progress and callbacks
FIRST_CHUNK = 1e8  # multiplications in the first kernel call of a fit, whose speed is not known yet


class Trainer:
    """Train a feed-forward network by backpropagation and mini-batch gradient descent.

    The method, and the symbols: docs/method.md. The kernels do whole epochs; this class checks, orders and reports.

    Parameters
    ----------
    layer_sizes : sequence of int
        n_1 … n_L: inputs, hidden layers, outputs; L ≥ 2.
    activation : {"sigmoid", "tanh", "relu", "identity"} or a sequence of them
        The hidden layers' f: one for all, or one for each.
    output_activation : str
        "auto": what goes with the loss (identity, softmax, sigmoid, in the order of the losses below). Any activation
        may end a network that has the squared error.
    loss : {"squared_error", "cross_entropy", "binary_cross_entropy"}
        J. squared_error is 1/(2m) Σ (y − aᴸ)², over samples and outputs; cross_entropy −1/m Σ y log aᴸ;
        binary_cross_entropy −1/m Σ (y log aᴸ + (1 − y) log(1 − aᴸ)), also summed over the outputs.
    optimizer : {"sgd"}
        Θ ← Θ − η ∂J/∂Θ after each mini-batch.
    learning_rate : float
        η > 0.
    batch_size : int
        m ≥ 1; the last batch of an epoch may be shorter, and is averaged over its own samples.
    epsilon : float
        ε ≥ 0: every weight is drawn uniformly from [−ε, ε] at first.
    use_bias : bool
        Whether the layers have bias units.
    shuffle : bool
        Whether each epoch takes the samples in a new random order.
    dtype : {"float32", "float64"}
        Of parameters and arithmetic.
    seed : int, optional
        Of first weights and shuffling: the same seed gives the same result, to the bit.
    n_threads : int or "auto"
        How many threads may work on one network, and no more than there are processors to run on; the results don't
        depend on it. "auto" measures what is fastest.

    Raises
    ------
    ValueError, TypeError
        For an argument out of its range or of the wrong kind; the message names it, what was expected and what came.

    Examples
    --------
    >>> trainer = Trainer([2, 2, 1], output_activation="sigmoid", learning_rate=5, epsilon=1, batch_size=4, seed=0)
    >>> history = trainer.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=2000, verbose=0)
    >>> trainer.predict_classes([[0, 1], [1, 1]])
    array([1, 0])
    """

    def __init__(
        self,
        layer_sizes: Iterable[int],
        *,
        activation: str | Sequence[str] = "sigmoid",
        output_activation: str = "auto",
        loss: str = "squared_error",
        optimizer: str = "sgd",
        learning_rate: SupportsFloat = 0.1,
        batch_size: SupportsIndex = 32,
        epsilon: SupportsFloat = 0.12,
        use_bias: bool = True,
        shuffle: bool = True,
        dtype: npt.DTypeLike = "float32",
        seed: SupportsIndex | None = None,
        n_threads: SupportsIndex | str = "auto",
    ) -> None:
        self._loss = _checks.one_of("loss", loss, LOSSES)
        self.network = Network(
            layer_sizes,
            activation=activation,
            output_activation=resolve_output(output_activation, self.loss),
            use_bias=use_bias,
            dtype=dtype,
        )
        if self.loss == "cross_entropy" and self.layer_sizes[-1] == 1:
            expected = "two or more outputs with loss='cross_entropy'"
            came = "one; for two classes in one output use loss='binary_cross_entropy'"
            raise ValueError(_checks.wrong("layer_sizes", expected, came))
        self._optimizer = _checks.one_of("optimizer", optimizer, OPTIMIZERS)
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self._epsilon = _checks.real("epsilon", epsilon, minimum=0, dtype=self.dtype)
        self.shuffle = _checks.flag("shuffle", shuffle)
        self._seed = None if seed is None else _checks.whole("seed", seed, minimum=0)
        self.n_threads = n_threads
        self.history = History()
        rng = np.random.default_rng(self.seed)
        uniform(self.network.parameters(), self.epsilon, rng)
        self._random = rng.integers(0, 1 << 64, size=1, dtype=np.uint64)

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """n_1 … n_L."""
        return self.network.layer_sizes

    @property
    def loss(self) -> str:
        """The loss's name."""
        return self._loss

    @property
    def optimizer(self) -> str:
        """The optimizer's name."""
        return self._optimizer

    @property
    def epsilon(self) -> float:
        """ε of the first weights."""
        return self._epsilon

    @property
    def seed(self) -> int | None:
        """Of first weights and shuffling."""
        return self._seed

    @property
    def activation(self) -> tuple[str, ...]:
        """The hidden layers' activations, one for each."""
        return self.network.activations[:-1]

    @property
    def output_activation(self) -> str:
        """The output layer's activation."""
        return self.network.activations[-1]

    @property
    def use_bias(self) -> bool:
        """Whether the layers have bias units."""
        return self.network.use_bias

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of parameters and arithmetic."""
        return self.network.dtype

    @property
    def weights(self) -> list[Array]:
        """[Θ¹, …]: zero-copy views of shape (n_{l+1}, n_l); write into them to set the weights."""
        return self.network.weights

    @property
    def biases(self) -> list[Array]:
        """[b¹, …]: zero-copy views of shape (n_{l+1},); with ``use_bias=False`` zero, and never trained."""
        return self.network.biases

    @property
    def n_parameters(self) -> int:
        """How many weights there are, bias weights included."""
        return self.network.n_parameters

    @property
    def learning_rate(self) -> float:
        """η; may be set between fits, or by a callback between epochs."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: SupportsFloat) -> None:
        self._learning_rate = _checks.real("learning_rate", value, above=0, dtype=self.dtype)

    @property
    def batch_size(self) -> int:
        """m; may be set between fits, or by a callback between epochs."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: SupportsIndex) -> None:
        self._batch_size = _checks.whole("batch_size", value, minimum=1)

    @property
    def n_threads(self) -> int | str:
        """How many threads may work on the network, or "auto"."""
        return self._n_threads

    @n_threads.setter
    def n_threads(self, value: SupportsIndex | str) -> None:
        self._n_threads = _checks.thread_count(value)

    @property
    def epochs_trained(self) -> int:
        """How many epochs the weights have seen, over all fits."""
        return len(self.history.epochs)

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int = 1,
        validation_data: tuple[Any, Any] | None = None,
        metrics: str | Sequence[str] = (),
        callbacks: Any = (),
        verbose: int | str = "auto",
    ) -> History:
        """Train for some epochs, from the weights as they are.

        Ctrl-C ends it after a whole batch: what was learnt is kept, and the history so far is returned, with
        ``interrupted`` set.

        Parameters
        ----------
        X : (n, n_1) array, list or frame of numbers
            Not copied where it is C-contiguous and of the trainer's dtype.
        y : (n, n_L), or (n,) or (n, 1) where n_L is 1
            Targets. With the cross entropy also class numbers 0 … n_L − 1 as (n,) or (n, 1). With the binary cross
            entropy each output is a label of its own, 0 or 1: for exclusive classes take the cross entropy.
        epochs : int
            Passes over the samples.
        validation_data : (X, y), optional
            Measured after each epoch, under names that start with val_.
        metrics : names out of {"accuracy", "mse", "mae", "r2"}
            Measured after each epoch with the weights that it left. The training loss comes out of training itself: the
            mean over the samples of their batches' J, each with the weights before its update.
        callbacks : Callback or function of (trainer, epoch, measured), or several
            Called after each epoch; one that returns True stops training.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 1 a bar (needs tqdm), 2 a line an epoch; "auto" takes the bar in a terminal or a notebook where
            tqdm is installed, else lines.

        Returns
        -------
        History
            Of these epochs; ``trainer.history`` has those of all fits.

        Raises
        ------
        ValueError, TypeError
            For bad input; the weights are untouched then.
        DivergenceError
            When the loss becomes NaN or infinite.
        """
        epochs = _checks.whole("epochs", epochs, minimum=0)
        names = metric_functions.metric_names(metrics)
        training = self._data("X", X, "y", y, names, shuffle=self.shuffle)
        validation = None
        if validation_data is not None:
            pair = _checks.pair("validation_data", validation_data)
            validation = self._data("validation_data[0]", pair[0], "validation_data[1]", pair[1], names)
        watchers = [*as_callbacks(callbacks), *progress(verbose)]
        history = History()
        self.history.interrupted = False
        alone = not (watchers or names or validation)  # then the kernel may run through all epochs
        with ExitStack() as ends:
            try:
                for callback in watchers:
                    callback.on_fit_begin(self, epochs)
                    ends.callback(callback.on_fit_end, self)
                for done in range(1 if alone and epochs else epochs):
                    with said_if_compiling(silent=not verbose):
                        self._train(training, epochs if alone else 1, [self.history, history], watchers, done)
                    measured = self._after_epoch(training, validation, names)
                    for record in (self.history, history):
                        record.add(measured)
                    if not math.isfinite(measured.get("val_loss", 0)):
                        raise self._divergence("val_loss", measured["val_loss"], self.epochs_trained)
                    if _stopped(watchers, self, history):
                        break
            except KeyboardInterrupt:
                history.interrupted = self.history.interrupted = True
        return history

    def predict(self, X: Any) -> Array:
        """aᴸ for every row of X, (n, n_L); see `Network.predict`."""
        return self.network.predict_with(self._engine, X, self._n_threads)

    def predict_classes(self, X: Any) -> npt.NDArray[np.int64]:
        """The class number of every row of X.

        Returns
        -------
        (n,) int64
            The largest output's number; of a single output, 1 where it is above 0.5 (tanh: above 0), else 0.
            With the binary cross entropy and several outputs, which are labels of their own: (n, n_L) of 0 and 1.
        """
        output = self.predict(X)
        if self._multi_label:
            return (output > self._threshold).astype(np.int64)
        return metric_functions.classes(output, self._threshold)

    def evaluate(self, X: Any, y: Any, metrics: str | Sequence[str] = ()) -> dict[str, float]:
        """The loss J over all the samples, under "loss", and the metrics; X, y and metrics as in `fit`."""
        names = metric_functions.metric_names(metrics)
        return self._measure(self._data("X", X, "y", y, names), names)

    def gradients(self, X: Any, y: Any) -> Gradients:
        """The gradients of J over all the samples, as one batch; the weights stay as they are. X, y as in `fit`."""
        loss, weights, biases = self._engine.gradients(self._data("X", X, "y", y))
        return Gradients(weights, biases, loss)

    def summary(self) -> Summary:
        """A table of the layers: size, activation, shape of the weights, number of parameters."""
        return layer_table(self.network, f"loss {self.loss}")

    def __repr__(self) -> str:
        hidden = set(self.activation)
        activation = hidden.pop() if len(hidden) == 1 else list(self.activation)
        return (
            f"Trainer({list(self.layer_sizes)}, activation={activation!r}, "
            f"output_activation={self.output_activation!r}, loss={self.loss!r}, optimizer={self.optimizer!r}, "
            f"learning_rate={self.learning_rate:g}, batch_size={self.batch_size}, dtype={self.dtype.name!r}): "
            f"{self.n_parameters:,} parameters, {self.epochs_trained} epochs trained"
        )

    @cached_property
    def _engine(self) -> Engine:
        return self.network.engine(LOSSES[self.loss].code)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_engine", None)
        return state

    @property
    def _multi_label(self) -> bool:
        return self.loss == "binary_cross_entropy" and self.layer_sizes[-1] > 1

    @property
    def _threshold(self) -> float:
        return ACTIVATIONS[self.output_activation].threshold

    def _data(
        self, X_name: str, X: Any, y_name: str, y: Any, names: Sequence[str] = (), *, shuffle: bool = False
    ) -> codes.Data:
        """X and y, checked, as kernels take them."""
        X = _checks.matrix(X_name, X, self.layer_sizes[0], self.dtype)
        targets, labels = encode(y_name, y, len(X), self.layer_sizes[-1], self.loss, self.output_activation, self.dtype)
        if "accuracy" in names:
            metric_functions.check_classes(y_name, targets, self._threshold)
        return self._engine.data(X, targets, labels, shuffle=shuffle)

    def _train(
        self,
        data: codes.Data,
        epochs: int,
        histories: Sequence[History],
        watchers: Sequence[Callback],
        done: int,
    ) -> None:
        """Run epochs, in calls of `CHUNK_SECONDS`, and add their losses to the histories."""
        n = len(data.X)
        batch_size = min(self.batch_size, n)
        step = codes.Step(OPTIMIZERS[self.optimizer], self.learning_rate, batch_size, block=min(batch_size, BLOCK))
        position, losses = np.zeros(2, np.int64), np.zeros(epochs)
        at = codes.Progress(position, self._random, losses)
        budget = 1 + int(FIRST_CHUNK / (step.block * self.n_parameters))
        first = self.epochs_trained + 1
        try:
            while (running := position[codes.EPOCH]) < epochs and math.isfinite(losses[running]):
                started = perf_counter()
                blocks = self._engine.train(data, step, at, budget, self.n_threads)
                budget = 1 + int(blocks / (perf_counter() - started) * CHUNK_SECONDS)
                for callback in watchers:
                    callback.on_progress(self, done + position[codes.EPOCH] + position[codes.SAMPLE] / n)
        finally:  # Ctrl-C arrives just after a kernel call
            finished = losses[: position[codes.EPOCH]].tolist()
            for history in histories:
                history.extend(first, finished)
        if running < epochs:
            raise self._divergence("loss", losses[running], first + len(finished))

    def _divergence(self, name: str, value: float, epoch: int) -> DivergenceError:
        message = (
            f"training diverged: the {name} became {value} in epoch {epoch}; try a smaller learning_rate (it is "
            f"{self.learning_rate:g}), inputs scaled to about [-1, 1], or a smaller epsilon, in a new Trainer"
        )
        return DivergenceError(message, epoch)

    def _after_epoch(
        self, training: codes.Data, validation: codes.Data | None, names: tuple[str, ...]
    ) -> dict[str, float]:
        """What is measured after an epoch, beside the loss that training itself gave."""
        measured = {}
        if names:
            measured = self._measure(training, names)
            del measured["loss"]
        if validation:
            measured |= {f"val_{name}": value for name, value in self._measure(validation, names).items()}
        return measured

    def _measure(self, data: codes.Data, names: tuple[str, ...]) -> dict[str, float]:
        """The loss and the metrics with the weights as they are."""
        data = data._replace(order=data.order[:0])  # row i of the output is to stand beside row i of y
        loss, output = self._engine.evaluate(data, self.n_threads, predictions=bool(names))
        values = metric_functions.measure(
            names,
            data.targets,
            data.labels,
            output,
            threshold=self._threshold,
            multi_label=self._multi_label,
        )
        return {"loss": loss} | values


def _stopped(watchers: Sequence[Callback], trainer: Trainer, history: History) -> bool:
    """Call every on_epoch_end; whether one of them returned True."""
    if not watchers:
        return False
    epoch, measured = history.last()
    answers = [callback.on_epoch_end(trainer, epoch, measured) for callback in watchers]
    return True in answers
