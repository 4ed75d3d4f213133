"""The state of a trainer: what training needs, and what it changes. Nothing here checks an argument or opens a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._engine.engine import Engine
from .._kernels import codes
from .._names import NONE, Names
from .._scaling import Scaling
from ..activations import ACTIVATIONS
from ..callbacks import Callback
from ..distributed import Ranks
from ..history import LazyHistory
from ..losses import BinaryCrossEntropy, Loss
from ..network import Network
from ..optimizers import Optimizer
from .callback_states import CallbackState, gathered

if TYPE_CHECKING:
    from ..schedules import Schedule
    from .settings import Settings

Array = npt.NDArray[Any]


@dataclass(eq=False, kw_only=True)
class State:
    """What training needs and what it changes.

    Attributes
    ----------
    network, loss, optimizer, learning_rate, schedule, batch_size, dropout, bounds, epsilon, shuffle, seed, n_threads,
    standardize
        The options of `Trainer`; ``bounds`` are its penalties and limits.
    ranks : the processes that train together, or None
    random : (1,) state of the generator that shuffles
    dropout_seed : seed of the dropped units, and of the split if ``seed`` is None
    memory : moments and number of steps of the optimizer
    history : the epochs of all fits
    column_names : names of the columns of the training data
    scaling : means and deviations of the first fit with ``standardize``, or None
    callback_states : states of the callbacks at the end of the last fit
    callbacks : the callbacks of the running fit
    settings : how the parameters are trained, or None; see `settings`
    report : what the command line says about the training, which the model file stores; or None
    last_step, last_progress : what steps.py made for the last call of a kernel, which is often right for the next
    stop : whether training stops after the current epoch
    """

    network: Network
    loss: Loss
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule | None
    batch_size: int
    dropout: tuple[float, ...]
    bounds: codes.Bounds
    epsilon: float | str
    shuffle: bool
    seed: int | None
    n_threads: int | str
    random: npt.NDArray[np.uint64]
    dropout_seed: int
    memory: codes.Memory = field(init=False)
    ranks: Ranks | None = None
    history: LazyHistory = field(default_factory=LazyHistory)
    column_names: Names = NONE
    standardize: bool = False
    scaling: Scaling | None = None
    callback_states: Sequence[CallbackState] = ()
    callbacks: Sequence[Callback] = ()
    settings: Settings | None = None
    report: dict[str, Any] | None = None
    stop: bool = False
    last_step: tuple[tuple[int, float, int], codes.Step] | None = field(default=None, init=False)
    last_progress: codes.Progress | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.memory = self.engine.memory(self.optimizer.n_moments, 0)

    @cached_property
    def engine(self) -> Engine:
        """The kernels for the network, the loss and the dropout."""
        return self.network.engine(self.loss.objective(self.network.layer_sizes[-1], self.network.dtype), self.dropout)

    @cached_property
    def puller(self) -> Any:
        """What computes derivatives by the inputs: the engine itself for a network of layers."""
        if hasattr(self.engine, "pull"):
            return self.engine
        from .._engine.puller import Puller  # which few trainers need

        return Puller(self.engine)

    def set_objective(self, activations: tuple[str, ...], loss: Loss, dropout: tuple[float, ...]) -> None:
        """Change what the network is trained for, but not its weights. The next call creates a new engine."""
        self.network.set_activations(activations)
        self.loss, self.dropout = loss, dropout
        self._forget_engine()

    def freeze(self, patterns: tuple[str, ...]) -> None:
        """Change which parameters are frozen. The next call creates a new engine."""
        from .settings import Settings

        if self.settings is None and not self.network.layers:
            came = "a plain one; make it with frozen=, or with layers"
            raise ValueError(_checks.wrong("frozen", "a network with layers or with options of parameters", came))
        settings = replace(self.settings or Settings(), frozen=patterns)
        if settings == Settings() and not self.network.layers:  # its file must say which kernels train it
            settings = replace(settings, parameter_groups={"*": {"learning_rate": 1.0}})
        self.network.set_ways(settings.ways)
        self.settings = settings
        self._forget_engine()

    def _forget_engine(self) -> None:
        for name in ("engine", "puller"):
            vars(self).pop(name, None)

    @property
    def epochs_trained(self) -> int:
        """Number of epochs in all fits."""
        return len(self.history)

    @property
    def multi_label(self) -> bool:
        """Whether the outputs are separate labels."""
        return isinstance(self.loss.of_targets, BinaryCrossEntropy) and self.n_targets > 1

    @property
    def n_targets(self) -> int:
        """Number of targets in a row of y: n_L, or less if the loss has several outputs for a target."""
        return self.loss.target_columns(self.network.layer_sizes[-1])

    @property
    def answer_activation(self) -> str:
        """The name of the activation that predictions come from."""
        return self.loss.answer_activation(self.network.activations[-1])

    @property
    def threshold(self) -> float:
        """The output above which a single output is class 1."""
        threshold = self.loss.of_targets.threshold
        return ACTIVATIONS[self.answer_activation].threshold if threshold is None else threshold

    @property
    def scales_targets(self) -> bool:
        """Whether ``standardize`` scales the targets: numbers that an identity output can reach."""
        return self.loss.of_targets.name in SCALED_LOSSES and self.network.activations[-1] == "identity"

    @property
    def scaling_of_outputs(self) -> Scaling | None:
        """The scaling, with what brings aᴸ into the units of y in place of the means and deviations of y."""
        scaling = self.scaling
        if scaling is None or scaling.target_mean is None or scaling.target_deviation is None:
            return scaling
        deviation, mean = self.loss.units(scaling.target_mean, scaling.target_deviation)
        return replace(scaling, target_mean=mean, target_deviation=deviation)

    def dtype_of(self, X: Any) -> np.dtype[Any]:
        """Return the dtype for X before it is scaled: float64, so that large numbers keep their digits."""
        is_single = getattr(X, "dtype", None) == np.float32
        return np.dtype(np.float64) if self.standardize and not is_single else self.network.dtype

    @property
    def dtype_of_y(self) -> np.dtype[Any]:
        """The dtype for y before it is scaled, if it is."""
        return np.dtype(np.float64) if self.standardize and self.scales_targets else self.network.dtype

    def predict(self, X: Any) -> Array:
        """Check X, and return predictions in the units of y."""
        if self.scaling is None and not self.loss.needs_graph:  # what single rows need, in a short time
            return self.network.predict_with(self.engine, self.column_names.inputs("X", X), self.n_threads)
        return self.loss.answer(self.outputs(X))

    def outputs(self, X: Any) -> Array:
        """Check X, and return aᴸ in the units of y."""
        X, scaling = self.column_names.inputs("X", X), self.scaling_of_outputs
        if scaling is None:
            return self.network.predict_with(self.engine, X, self.n_threads)
        X = _checks.matrix("X", X, self.network.layer_sizes[0], self.dtype_of(X))
        X = scaling.inputs("X", X, self.network.dtype)
        return scaling.outputs(self.network.predict_with(self.engine, X, self.n_threads), self.network.dtype)

    def folded(self) -> tuple[list[Array], list[Array]]:
        """Return weights and biases, float64, with which a network computes aᴸ from X, in the units of y."""
        network = self.network
        if network.layers:
            raise ValueError(_checks.wrong("trainer", "a network without layers, which has only Θ, b and f", "layers"))
        weights, biases = (
            [array.astype(np.float64) for array in arrays] for arrays in (network.weights, network.biases)
        )
        scaling = self.scaling_of_outputs
        if scaling is not None:
            scaling.folded(weights, biases)
        return weights, biases

    def options(self) -> dict[str, Any]:
        """Return the arguments of `Trainer` that the state was made from, except initializer and comm."""
        network = self.network
        return {
            "layer_sizes": network.layers or network.layer_sizes,
            "activation": getattr(network, "activation", network.activations[:-1]),
            "output_activation": network.activations[-1],
            "loss": self.loss,
            "optimizer": self.optimizer,
            "learning_rate": None if self.optimizer.name == "lbfgs" else self.learning_rate,
            "schedule": self.schedule,
            "batch_size": self.batch_size,
            "epsilon": self.epsilon,
            "use_bias": network.use_bias,
            "dropout": self.dropout,
            **{name: None if limit == np.inf else limit for name, limit in self.bounds._asdict().items()},
            "shuffle": self.shuffle,
            "dtype": network.dtype.name,
            "seed": self.seed,
            "n_threads": self.n_threads,
            "standardize": self.standardize,
            **({} if self.settings is None else self.settings.options()),
        }

    def arrays(self) -> list[Array]:
        """Return the arrays that training changes in place."""
        memory = self.memory
        return [self.network.trained, memory.first, memory.second, memory.steps, self.random]

    def current_callback_states(self) -> list[CallbackState]:
        """Return the states of the running fit's callbacks, or those at the end of the last fit."""
        return gathered(self.callbacks) if self.callbacks else list(self.callback_states)

    def begin(self, data: codes.Data | None = None) -> None:
        """Before training: give a network of layers what it needs of the training samples, if they are known."""
        network = self.network
        if self.settings is not None:
            network.begin(int(self.memory.steps[0]))
        if data is not None and network.layers and network.wants_edges:
            network.learn_edges(data.X[data.chosen] if data.chosen.size else data.X)

    def end(self) -> None:
        """After training: remember what it has made of the parameters."""
        if self.settings is not None:
            self.network.end()

    def free(self) -> None:
        """Free the memory that only calls of kernels need, and that the next call allocates again."""
        self.engine.free()
        vars(self).pop("puller", None)
        self.last_step = self.last_progress = None

    def generator(self) -> np.random.Generator:
        """Return a random generator from the seed. Without a seed, a trainer, its copies and its file share one."""
        return np.random.default_rng(self.dropout_seed if self.seed is None else self.seed)

    def take_over(self, trained: State) -> None:
        """Copy what training has changed in a copy. The arrays stay the same, because views of them may exist."""
        for array, values in zip(self.arrays(), trained.arrays(), strict=True):
            np.copyto(array, values)
        history, told = self.history.read(), trained.history.read()
        history.clear()
        history.update(told)
        history.epochs[:], history.interrupted = told.epochs, told.interrupted
        for name in ("learning_rate", "batch_size", "stop", "callback_states", "column_names", "scaling"):
            setattr(self, name, getattr(trained, name))
        self.network.settled = trained.network.settled

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in vars(self).items() if name not in ONLY_HERE}
        return state | {"memory": self.engine.packed(self.memory), "callback_states": self.current_callback_states()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"ranks": None, "callbacks": ()})
        self.random = np.array(state["random"])  # a pickle's buffers may be read-only
        self.memory = self.engine.unpacked(state["memory"])


SCALED_LOSSES = ("squared_error", "absolute_error", "huber", "quantile")  # whose targets ``standardize`` scales
ONLY_HERE = ("engine", "puller", "ranks", "callbacks", "last_step", "last_progress")  # not in pickles and copies
ATTRIBUTES = {  # of a pickled Trainer of 0.1.0 before it had a State: names that differ from "_" and the field's name
    "network": "network",
    "shuffle": "shuffle",
    "stop": "stop_training",
    "callback_states": "_states",
    "column_names": "_names",
}


def restored(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a trainer from those in a pickle of an earlier version. A user's own are kept."""
    state = State.__new__(State)
    given = {name: ATTRIBUTES.get(name, f"_{name}") for name in State.__dataclass_fields__}
    later = {"column_names": NONE, "callback_states": ()}  # which the oldest pickles lack
    state.__setstate__(later | {name: attributes[old] for name, old in given.items() if old in attributes})
    old_names = set(given.values())
    return {name: value for name, value in attributes.items() if name not in old_names} | {"_state": state}


class Rewind:
    """Keeps a state as it is at the start of an epoch, to return to after a divergence.

    Parameters
    ----------
    state : its arrays are stored by `keep`
    """

    def __init__(self, state: State) -> None:
        self.arrays = state.arrays()
        self._kept: list[Array] = []

    def keep(self, epoch: int) -> None:
        """Store the current arrays, at the start of this epoch of a call."""
        self.epoch = epoch
        if not self._kept:
            self._kept = [array.copy() for array in self.arrays]
            return
        for kept, array in zip(self._kept, self.arrays, strict=True):
            kept[:] = array

    @property
    def start(self) -> codes.Start:
        """The memory for the kernels, which keep the state at the start of each epoch of a call themselves."""
        return codes.Start(*self._kept)

    def back(self) -> None:
        """Restore the stored arrays."""
        for kept, array in zip(self._kept, self.arrays, strict=True):
            array[:] = kept
