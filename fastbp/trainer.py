"""Trainer: checks its arguments and runs the epochs in kernel calls; callbacks and Ctrl-C run between the calls."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from . import _checks, distributed, metrics as metric_functions
from ._c import export
from ._keywords import suggests
from ._training import range_finder
from ._training.answers import Answers
from ._training.options import check_lbfgs, network_of, rate_of, rates_of, schedule_of, seeded, settings_of
from ._training.sharded_run import run_of
from ._training.state import State, restored
from .callbacks import as_callbacks
from .history import History
from .losses import loss_of
from .optimizers import limits, optimizer_of
from .progress import progress
from .results import Summary

if TYPE_CHECKING:
    from ._files.columns import Table

Array = npt.NDArray[Any]


class Trainer(Answers):
    """Train a feed-forward network by backpropagation and mini-batch gradient descent.

    docs/method.md defines the method and the symbols. This class checks the arguments; the kernels run whole epochs.

    Parameters
    ----------
    layer_sizes : sequence of int or layers
        Numbers of units n_1 … n_L: inputs, hidden layers, outputs; 2 ≤ L ≤ 10,000. The list may also contain layers of
        `fastbp.layers`, as in ``[Inputs(numbers=3, categories=[7]), Dense(64, norm="layer"), Residual(64), 1]``.
    activation : str or a sequence of them
        Activation f of the hidden layers: one for all, or one for each. "identity", "sigmoid", "tanh", "relu",
        "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "softsign", "hard_sigmoid",
        "hard_tanh", "exponential".
    output_activation : str
        "auto" is softmax for cross_entropy, sigmoid for binary_cross_entropy, exponential for poisson, and identity
        for the other losses. Those other losses also accept any other activation, including softmax.
    loss : str, fastbp.losses.Loss, or function
        Loss J, summed over outputs and averaged over samples: "squared_error", ½ (y − aᴸ)², "absolute_error", "huber",
        "quantile", "hinge", "poisson", "cross_entropy", "binary_cross_entropy", or an object such as
        ``losses.Huber(delta=0.5)``. You can also pass a function of (output, target) that returns the loss
        and its derivative by the output. Numba compiles it, with or without @njit. Row losses have several outputs for
        each target: "gaussian_nll", "negative_binomial", `losses.Members` and `losses.Rows`.
    optimizer : str or fastbp.optimizers.Optimizer
        "sgd" (Θ ← Θ − η ∂J/∂Θ after each mini-batch), "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw",
        "lbfgs" (scipy's, on all samples at once), or an object such as ``optimizers.Adam(beta_1=0.8)``.
    learning_rate : float, optional
        η > 0; by default, that of the optimizer.
    schedule : str, fastbp.schedules.Schedule or function of the epoch, optional
        How η changes within a fit. "step", "exponential", "cosine", "one_cycle", "inverse_scaling", "coslog4",
        "flat_cosine" and objects scale learning_rate. A function of the epoch's number (from 0) returns η itself.
    batch_size : int
        Samples in a mini-batch, m ≥ 1. The last batch of an epoch may be smaller; its J is a mean of fewer samples.
    initializer : str, or a pair of lists of arrays
        First weights: "uniform" in [−ε, ε], biases too; with biases of 0, "glorot", "he", "lecun" (each also with
        _uniform or _normal), "orthogonal" or "zeros"; or your own arrays ([Θ¹, …], [b¹, …]).
    epsilon : "auto" or float
        ε for the initializer "uniform". "auto" computes ε for each layer from its sizes and activation, such as
        √(6/(n_l + n_{l+1})) for tanh (`initializers.half_widths`). A number ≥ 0 is the ε of all layers.
    use_bias : bool
        Whether the layers have bias units.
    dropout : float or a sequence of float, each in [0, 1)
        Fraction of the hidden units to drop for each sample in training: one for all hidden layers, or one for each.
    l1, l2 : float
        Penalties on the weights, not on the biases: J += ½ l2 Σ θ² + l1 Σ |θ|.
    clip_value, clip_norm : float, optional
        Each component of the gradient is clipped to ± clip_value. Then the gradient's norm is limited to clip_norm.
    max_norm : float, optional
        Upper bound on the norm of each unit's incoming weights, applied after every update.
    shuffle : bool
        Whether to shuffle the samples before each epoch.
    dtype : {"float32", "float64"}
        Data type of parameters and computation.
    seed : int, optional
        Seed of the first weights, shuffling and dropout. The same seed gives bit-identical results.
    n_threads : int or "auto"
        Maximum number of threads for one network; more than the available processors are never used. The results
        don't depend on it. "auto" measures which number is fastest.
    standardize : bool
        Whether to scale each input to mean 0 and standard deviation 1, and so the targets of squared_error,
        absolute_error, huber, quantile and gaussian_nll with the output activation identity. The means and deviations
        are those of the training samples of the first fit, weighted like its loss, without those that validate. They
        are saved with the model and never change. The loss, weights and gradients are those of the scaled numbers.
        `predict` and metrics are in the units of y.
    parameter_groups : {pattern: {"learning_rate": factor, "weight_decay": factor}}, optional
        Factors of the learning rate and of the weight decay for the parameters whose names match a pattern, such as
        ``{"*.bias": {"learning_rate": 0.1}}``. `named_parameters` has the names; a layer's name stands for all of its
        parameters. If several patterns match, the last one counts. By default, biases and norms have no weight decay.
    frozen : str or sequence of str
        Patterns of the names of parameters that training doesn't change.
    ema : float in [0, 1), optional
        Decay of an exponential moving average of the parameters: average ← ema · average + (1 − ema) · parameters after
        each update. The first update copies the parameters. `weights`, predictions and validation use the average.
    drop_last : bool
        Whether an epoch skips its last batch if it is smaller than batch_size.
    dropout_schedule, weight_decay_schedule : str or fastbp.schedules.Schedule, optional
        Schedules of factors that multiply the dropout rates and the weight decay within a fit, as in `schedule`, but
        without functions.
    comm : mpi4py communicator, optional
        For example ``MPI.COMM_WORLD``. Its processes train one network together, each on its rows of every batch. All
        must make the same calls with the same arguments and data; see docs/distributed.md.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong type or is out of range. The message names it, the expected and the given value.
    MemoryError
        If the parameters and the optimizer's state don't fit into memory. Nothing is allocated.

    Examples
    --------
    >>> trainer = Trainer([2, 4, 1], loss="binary_cross_entropy", learning_rate=1, seed=0)
    >>> history = trainer.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0], epochs=500, verbose=0)
    >>> trainer.predict_classes([[0, 1], [1, 1]])
    array([1, 0])
    """

    _state: State
    _table: Table | None = None  # the command line's table, which is saved with the model
    find_learning_rate = range_finder.find_learning_rate
    to_c = export.to_c

    @suggests("Trainer")
    def __init__(
        self,
        layer_sizes: Iterable[Any],
        *,
        activation: str | Sequence[str] = "tanh",
        output_activation: str = "auto",
        loss: Any = "squared_error",
        optimizer: Any = "sgd",
        learning_rate: SupportsFloat | None = None,
        schedule: Any = None,
        batch_size: SupportsIndex = 32,
        initializer: Any = "uniform",
        epsilon: SupportsFloat | str = "auto",
        use_bias: bool = True,
        dropout: SupportsFloat | Sequence[SupportsFloat] = 0.0,
        l1: SupportsFloat = 0.0,
        l2: SupportsFloat = 0.0,
        clip_value: SupportsFloat | None = None,
        clip_norm: SupportsFloat | None = None,
        max_norm: SupportsFloat | None = None,
        shuffle: bool = True,
        dtype: npt.DTypeLike = "float32",
        seed: SupportsIndex | None = None,
        n_threads: SupportsIndex | str = "auto",
        standardize: bool = False,
        parameter_groups: Any = None,
        frozen: Any = (),
        ema: SupportsFloat | None = None,
        drop_last: bool = False,
        dropout_schedule: Any = None,
        weight_decay_schedule: Any = None,
        comm: Any = None,
    ) -> None:
        objective, method = loss_of(loss), optimizer_of(optimizer)
        settings = settings_of(parameter_groups, frozen, ema, drop_last, dropout_schedule, weight_decay_schedule)
        network = network_of(objective, output_activation, layer_sizes, activation, use_bias, dtype, settings)
        epsilon = _checks.epsilon(epsilon, network.dtype)
        check_lbfgs(method, dropout, clip_value, clip_norm, max_norm, schedule, learning_rate)
        ranks, seed, rng = seeded(seed, comm, method)
        rates = rates_of(dropout, network, method, settings, ranks)
        network.initialize(initializer, epsilon, rng)
        self._state = State(
            network=network,
            loss=objective,
            optimizer=method,
            learning_rate=rate_of(learning_rate, method, network.dtype),
            schedule=schedule_of(schedule),
            batch_size=_checks.whole("batch_size", batch_size, minimum=1),
            dropout=rates,
            bounds=limits(l1, l2, clip_value, clip_norm, max_norm, network.dtype),
            epsilon=epsilon,
            seed=seed,
            ranks=ranks,
            settings=settings,
            shuffle=_checks.flag("shuffle", shuffle),
            n_threads=_checks.thread_count(n_threads),
            standardize=_checks.flag("standardize", standardize),
            random=rng.integers(0, 1 << 64, size=1, dtype=np.uint64),
            dropout_seed=int(rng.integers(0, 1 << 64, dtype=np.uint64)),
        )

    @distributed.together
    @suggests("fit")
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        epochs: int = 1,
        initial_epoch: SupportsIndex = 0,
        sample_weight: Any = None,
        class_weight: Any = None,
        validation_data: Any = None,
        validation_split: SupportsFloat = 0.0,
        metrics: Any = (),
        callbacks: Any = (),
        steps: int | None = None,
        sharded: bool = False,
        max_seconds: SupportsFloat | None = None,
        verbose: int | str = "auto",
    ) -> History:
        """Train for a number of epochs, starting from the current weights.

        Ctrl-C ends the fit after the current batch. The weights are kept, and the history so far is returned, with
        ``interrupted`` set.

        Parameters
        ----------
        X : (n, n_1) array, list or frame of numbers; or, without y, a Stream or an iterable of batches
            fastbp doesn't copy an array that is C-contiguous and has the trainer's dtype. A numpy.memmap stays on
            disk. A Stream is read in batches of batch_size while the kernels train. The batches of an iterable are
            pairs (X, y) or triples (X, y, sample_weight). Each batch is one update, whatever batch_size is. The
            first frame or Stream with column names sets `feature_names`. In every method, later frames and Streams
            must have the same names in the same order.
        y : (n, number of targets), or (n,) or (n, 1) if there is one
            Targets. With most losses, there are n_L of them. With the cross entropy and the hinge loss, you can also
            pass class numbers 0 … n_L − 1 as (n,) or (n, 1). With the binary cross entropy, each output is a separate
            label, 0 or 1. If each sample belongs to exactly one class, use the cross entropy.
        epochs : int
            Number of passes over the samples, including the first initial_epoch.
        initial_epoch : int
            Number of epochs that an earlier fit has already done. This fit trains the remaining ones as the earlier
            fit would have done: the schedule and the callbacks continue.
        sample_weight : (n,) numbers ≥ 0, optional
            Weights of the samples. J of a batch is the weighted mean of the losses of its samples.
        class_weight : {class number: weight} or "balanced", optional
            Weights of the classes, which multiply sample_weight. "balanced" gives all classes the same total weight.
        validation_data : (X, y) or (X, y, sample_weight), or Stream, optional
            Measured after each epoch, under names that start with val_.
        validation_split : float in [0, 1)
            Fraction of the samples that is set aside at random, stratified by class, and measured like validation_data.
            Both parts are copies. For the same samples, a trainer, its copies and its saved file always use the same
            split. A larger fraction sets aside the samples of a smaller fraction, and more.
        metrics : names or functions of (y, output), one or several, or None
            Measured after each epoch with the weights at its end; fastbp.metrics lists the names. The training loss is
            measured while training. Each batch has a loss J, computed with the weights before its update. The training
            loss is the mean of J over the batches, weighted by their numbers of samples.
            If X is a Stream or an iterable, only the validation data is measured.
        callbacks : Callback or function of (trainer, epoch, measured), or several, or None
            Called after each epoch. A callback stops training if it returns True or sets ``trainer.stop_training``.
        steps : int, optional
            Number of batches in an epoch, if X is an iterable of batches. By default, an epoch ends when X ends.
        sharded : bool
            Whether X, y and sample_weight are only this rank's part of the data. The ranks may have different numbers
            of rows; see docs/distributed.md.
        max_seconds : float, optional
            Time limit in seconds. Training ends after the batch that exceeds it.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 1 shows a bar (needs tqdm), 2 prints a line for each epoch. "auto" shows the bar in a terminal
            or a notebook if tqdm is installed, and otherwise prints lines.

        Returns
        -------
        History
            The epochs of this fit; ``trainer.history`` has those of all fits.

        Raises
        ------
        ValueError, TypeError
            For bad input. The weights stay unchanged.
        MemoryError
            If the samples of a batch in all layers don't fit into memory. Nothing is allocated.
        DivergenceError
            If the loss or a weight becomes NaN or infinite. Weights, optimizer and history return to those of the
            epoch before, and you can continue with a smaller learning rate.
        RuntimeError
            If another thread is training this trainer.
        """
        before = _checks.whole("initial_epoch", initial_epoch, minimum=0)
        epochs = max(0, _checks.whole("epochs", epochs, minimum=0) - before)
        seconds = _checks.seconds("max_seconds", max_seconds)
        names = metric_functions.metric_names(metrics)
        source, validation = self._intake.training(
            X,
            y,
            names,
            sample_weight,
            class_weight,
            steps=steps,
            epochs=epochs,
            validation_data=validation_data,
            validation_split=validation_split,
            sharded=_checks.flag("sharded", sharded),
        )
        callbacks = [*as_callbacks(callbacks), *progress(verbose)]
        run = run_of(self._state, self, callbacks, epochs, seconds, before, sharded)
        return run.fit(source, validation, names, class_weight, silent=not verbose)

    @distributed.together
    def train_on_batch(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Update the parameters once, with all samples as one batch. This doesn't count as an epoch.

        The arguments are those of `fit`.

        Returns
        -------
        The loss J before the update.

        Raises
        ------
        ValueError, TypeError
            For bad input. The weights stay unchanged.
        DivergenceError
            If J or a weight becomes NaN or infinite. The weights stay unchanged.
        RuntimeError
            If another thread is training this trainer.
        """
        data = self._intake.whole_batch(X, y, sample_weight)
        return run_of(self._state, self, [], 1).train_on_batch(data, self._state.learning_rate)

    def get_weights(self) -> list[Array]:
        """Return copies of [Θ¹, b¹, Θ², …]; bˡ only if the network has bias units.

        For a list of layers, return copies of all parameters and statistics in the order of `named_parameters`.
        """
        return self.network.get_weights()

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the weights to those that `get_weights` returned, or to others of the same shapes."""
        self.network.set_weights(weights)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save weights, options, state and history to a file. After `load`, training continues bit-identically.

        A crash leaves the old file or the new one, never part of it. Symlinks are followed. A path to a folder, a
        device or anything else that is not a file raises ValueError. So do a loss or schedule of your own, and weights
        that are not finite.
        """
        from ._files import model

        model.save(self._state, self._table, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, comm: Any = None) -> Trainer:
        """Load a trainer that `save` wrote. Any other file raises ModelFileError; no code in a file is executed."""
        from ._files import model

        saved = model.load(path)
        with model.argument_errors():
            trainer = cls(**saved.options, comm=comm)
            saved.restore(trainer._state)
        trainer._table = saved.table
        return trainer

    def summary(self) -> Summary:
        """Return a table of the layers: size, activation, shape of the weights, number of parameters."""
        return self.network.summary(f"loss {self.loss}{', standardize=True' * self.standardize}")

    def __repr__(self) -> str:
        hidden = set(self.activation)
        activation = hidden.pop() if len(hidden) == 1 else list(self.activation)
        return (
            f"Trainer({self.network.described()}, activation={activation!r}, "
            f"output_activation={self.output_activation!r}, loss={self.loss!r}, optimizer={self.optimizer.name!r}, "
            f"learning_rate={self.learning_rate:g}, batch_size={self.batch_size}, dtype={self.dtype.name!r}"
            f"{', standardize=True' * self.standardize}): "
            f"{self.n_parameters:,} parameters, {self.epochs_trained} epochs trained"
        )

    def __copy__(self) -> Trainer:
        copied = type(self).__new__(type(self))  # has the same network and history, but its own options and moments
        copied.__setstate__(self.__getstate__() | {"_state": copy.copy(self._state)})
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))  # from which a subclass may take its attributes

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state if "_state" in state else restored(state))
