"""The options of a Trainer, and what it has learned, as attributes that read the State."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._scaling import Scaling
from ..distributed import Ranks, ranks_of
from ..history import History
from ..losses import CrossEntropy, Loss, resolve_output
from ..network import Network
from ..optimizers import Optimizer
from .state import State

if TYPE_CHECKING:
    from ..schedules import Schedule
    from .settings import Settings

Array = npt.NDArray[Any]

NONE = (None, None, None)


def schedule_of(value: Any) -> Schedule | None:
    """Return a Schedule, or None for None: most trainers have none, and don't import them."""
    if value is None:
        return None
    from .. import schedules

    return schedules.schedule_of(value)


def settings_of(
    parameter_groups: Any, frozen: Any, ema: Any, drop_last: Any, dropout_schedule: Any, weight_decay_schedule: Any
) -> Settings | None:
    """Return the checked options for training the parameters, or None if none is used, as for most trainers."""
    others = (ema, dropout_schedule, weight_decay_schedule)
    if not parameter_groups and type(frozen) is tuple and not frozen and drop_last is False and others == NONE:
        return None
    from . import settings

    return settings.settings_of(parameter_groups, frozen, ema, drop_last, dropout_schedule, weight_decay_schedule)


def network_of(
    loss: Loss,
    output_activation: str,
    layer_sizes: Any,
    activation: Any,
    use_bias: bool,
    dtype: npt.DTypeLike,
    settings: Settings | None = None,
) -> Network:
    """Return a network whose outputs suit the loss."""
    options: dict[str, Any] = {"activation": activation, "use_bias": use_bias, "dtype": dtype}
    if settings is None and not loss.needs_graph and "fastbp.layers" not in sys.modules:
        output = resolve_output(output_activation, loss)  # there are no layers if nothing has imported them
        network = Network(layer_sizes, output_activation=output, **options)
    else:
        network = _graph_network_of(loss, output_activation, layer_sizes, options, settings)
    if isinstance(loss, CrossEntropy) and network.layer_sizes[-1] == 1:
        came = "one; for two classes in one output use loss='binary_cross_entropy'"
        raise ValueError(_checks.wrong("layer_sizes", "two or more outputs with loss='cross_entropy'", came))
    return network


def _graph_network_of(
    loss: Loss, output_activation: str, layer_sizes: Any, options: dict[str, Any], settings: Settings | None
) -> Network:
    """Return a network of layers, or one that needs their kernels. Without layers it may be a plain one after all."""
    from ..layers._classes import has_layers, layers_of
    from ..layers._lowering import asked_output

    if _checks.is_sequence(layer_sizes) and not isinstance(layer_sizes, set | frozenset):
        layer_sizes = list(layer_sizes)
    if has_layers(layer_sizes):
        asked = asked_output(layers_of("layer_sizes", layer_sizes))
        if asked is not None and output_activation not in ("auto", asked):
            came = f"{output_activation!r}"
            expected = f"'auto' or {asked!r}, the activation of the last layer"
            raise ValueError(_checks.wrong("output_activation", expected, came))
        output_activation = asked or output_activation
    output = resolve_output(output_activation, loss)
    if settings is None and not loss.needs_graph and not has_layers(layer_sizes):
        return Network(layer_sizes, output_activation=output, **options)
    from .._layered import GraphNetwork, Ways

    ways = Ways() if settings is None else settings.ways
    return GraphNetwork(layer_sizes, output_activation=output, ways=ways, **options)


def rate_of(learning_rate: Any, optimizer: Optimizer, dtype: np.dtype[Any]) -> float:
    """Return η; by default, that of the optimizer."""
    return _checks.learning_rate(optimizer.learning_rate if learning_rate is None else learning_rate, dtype)


def rates_of(
    dropout: Any, network: Network, optimizer: Optimizer, settings: Settings | None, ranks: Ranks | None
) -> tuple[float, ...]:
    """Return the dropout rates of the hidden layers. Layers have their own. Refuse what doesn't go together."""
    if network.layers:
        _checks.absent("with layers, which have their own: Dense(…, dropout=0.1)", dropout=dropout)
        rates: tuple[float, ...] = ()
    else:
        rates = _checks.rates("dropout", dropout, len(network.layer_sizes) - 2)
    _check_graph(network, optimizer, rates, settings, ranks)
    return rates


def check_lbfgs(
    optimizer: Optimizer, dropout: Any, clip_value: Any, clip_norm: Any, max_norm: Any, schedule: Any, rate: Any
) -> None:
    """Refuse options that L-BFGS can't take."""
    if optimizer.name == "lbfgs":
        reason = "with optimizer='lbfgs'"
        _checks.absent(reason, dropout=dropout, clip_value=clip_value, clip_norm=clip_norm)
        _checks.absent(reason, max_norm=max_norm, schedule=schedule, learning_rate=rate)


def seeded(seed: Any, comm: Any, optimizer: Optimizer) -> tuple[Ranks | None, int | None, np.random.Generator]:
    """Return the processes of a communicator, the seed, which they share, and its random generator."""
    seed = None if seed is None else _checks.whole("seed", seed, minimum=0)
    ranks = ranks_of(comm, optimizer.name)
    seed = seed if ranks is None else ranks.seed(seed)
    return ranks, seed, np.random.default_rng(seed)


def _check_graph(
    network: Network, optimizer: Optimizer, dropout: tuple[float, ...], settings: Settings | None, ranks: Ranks | None
) -> None:
    """Refuse what doesn't go together with layers, or with the options of `Settings`."""
    if settings is not None:
        settings.check(network, optimizer, dropout)
    if not network.layers and settings is None:
        return
    if optimizer.name == "lbfgs":
        reason = "with layers" if network.layers else "with parameter_groups, frozen, ema, drop_last or their schedules"
        raise ValueError(_checks.wrong("optimizer", f"one that trains in batches {reason}", "'lbfgs'"))
    if ranks is not None and network.has_batch_norm:
        expected = "None with batch norm, because its statistics need the whole batch; use norm='layer'"
        raise ValueError(_checks.wrong("comm", expected, "a communicator"))
    if ranks is not None and network.layers and network.layers[0].sparse:
        expected = "None with sparse=True, because each process would update other rows of the tables"
        raise ValueError(_checks.wrong("comm", expected, "a communicator"))


class Options:
    """Attributes of `Trainer`. Those that may change between fits check the value that they are set to."""

    _state: State

    @property
    def network(self) -> Network:
        """The network that is trained."""
        return self._state.network

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Number of units in each layer, n_1 … n_L. With layers, the columns of X and of each output."""
        return self._state.network.layer_sizes

    @property
    def activation(self) -> tuple[str, ...]:
        """Activation of each hidden layer that has one."""
        return self._state.network.activations[:-1]

    @property
    def output_activation(self) -> str:
        """Activation of the output layer."""
        return self._state.network.activations[-1]

    @property
    def loss(self) -> str:
        """Name of the loss."""
        return self._state.loss.name

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer object."""
        return self._state.optimizer

    @property
    def learning_rate(self) -> float:
        """Learning rate η. You can set it between fits, or in a callback between epochs."""
        return self._state.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: SupportsFloat) -> None:
        self._state.learning_rate = _checks.learning_rate(value, self.dtype)

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of the learning rate within a fit, or None."""
        return self._state.schedule

    @property
    def batch_size(self) -> int:
        """Mini-batch size m. You can set it between fits, or in a callback between epochs."""
        return self._state.batch_size

    @batch_size.setter
    def batch_size(self, value: SupportsIndex) -> None:
        self._state.batch_size = _checks.whole("batch_size", value, minimum=1)

    @property
    def epsilon(self) -> float | str:
        """ε of the initializer "uniform", or "auto"."""
        return self._state.epsilon

    @property
    def use_bias(self) -> bool:
        """Whether the layers have bias units."""
        return self._state.network.use_bias

    @property
    def dropout(self) -> tuple[float, ...]:
        """Dropout rate of each hidden layer. () for a list of layers, because each layer has its own rate."""
        return self._state.dropout

    @property
    def shuffle(self) -> bool:
        """Whether to shuffle the samples before each epoch. You can set it between fits."""
        return self._state.shuffle

    @shuffle.setter
    def shuffle(self, value: bool) -> None:
        self._state.shuffle = _checks.flag("shuffle", value)

    @property
    def parameter_groups(self) -> dict[str, dict[str, float]]:
        """Factors of the learning rate and of the weight decay for each pattern of names."""
        return {} if self._state.settings is None else dict(self._state.settings.parameter_groups)

    @property
    def frozen(self) -> tuple[str, ...]:
        """Patterns of the names of parameters that training doesn't change. You can set them between fits.

        For a plain network, this works only if you passed at least one of `parameter_groups`, `frozen`, `ema`,
        `drop_last`, `dropout_schedule` and `weight_decay_schedule` to `Trainer`.
        """
        return () if self._state.settings is None else self._state.settings.frozen

    @frozen.setter
    def frozen(self, value: Any) -> None:
        from .settings import patterns_of

        self._state.freeze(patterns_of("frozen", value))

    @property
    def ema(self) -> float | None:
        """Decay of the moving average of the parameters, or None."""
        return None if self._state.settings is None else self._state.settings.ema

    @property
    def drop_last(self) -> bool:
        """Whether an epoch skips its last batch if it is smaller than batch_size."""
        return self._state.settings is not None and self._state.settings.drop_last

    @property
    def dropout_schedule(self) -> Schedule | None:
        """Schedule of factors that multiply the dropout rates, or None."""
        return None if self._state.settings is None else self._state.settings.dropout_schedule

    @property
    def weight_decay_schedule(self) -> Schedule | None:
        """Schedule of factors that multiply the weight decay, or None."""
        return None if self._state.settings is None else self._state.settings.weight_decay_schedule

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of parameters and computation."""
        return self._state.network.dtype

    @property
    def seed(self) -> int | None:
        """Seed of the first weights, shuffling and dropout."""
        return self._state.seed

    @property
    def n_threads(self) -> int | str:
        """Maximum number of threads for the network, or "auto". You can set it between fits."""
        return self._state.n_threads

    @n_threads.setter
    def n_threads(self, value: SupportsIndex | str) -> None:
        self._state.n_threads = _checks.thread_count(value)

    @property
    def standardize(self) -> bool:
        """Whether inputs, and targets that are numbers, are scaled."""
        return self._state.standardize

    @property
    def scaling(self) -> Scaling | None:
        """The means and deviations for ``standardize=True``; None before the first fit, and without it."""
        return self._state.scaling

    @property
    def weights(self) -> list[Array]:
        """[Θ¹, …]: zero-copy views of shape (n_{l+1}, n_l). Write to them to set the weights."""
        return self._state.network.weights

    @property
    def biases(self) -> list[Array]:
        """[b¹, …]: zero-copy views of shape (n_{l+1},). With ``use_bias=False`` they are zero and not trained."""
        return self._state.network.biases

    def named_parameters(self) -> dict[str, Array]:
        """Return zero-copy views of all parameters and statistics by name, such as "dense1.weight"."""
        return self._state.network.named_parameters()

    @property
    def n_parameters(self) -> int:
        """Number of weights, including bias weights."""
        return self._state.network.n_parameters

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """The column names of X in the first `fit` with a frame or Stream that has names; None if no fit had names."""
        return self._state.column_names.features

    @property
    def epochs_trained(self) -> int:
        """Number of epochs in all fits."""
        return self._state.epochs_trained

    @property
    def history(self) -> History:
        """Measurements of each epoch, over all fits."""
        return self._state.history.read()

    @property
    def stop_training(self) -> bool:
        """Whether training stops after the current epoch. A callback can set it."""
        return self._state.stop

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self._state.stop = bool(value)
