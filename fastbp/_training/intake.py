"""Prepare the samples: check X and y, apply sample and class weights, split off validation data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from .. import _checks
from .._kernels import codes
from .._kernels.tuning import BLOCK
from .._names import NONE, Names, names_of, without_index
from .._scaling import Scaling, learnt
from ..losses import encode, padded
from ..metrics import check_classes, check_means, check_metrics
from ..streams import Stream
from ..streams._feed import Feed
from .batches import Batches, check_sharded, refuse
from .scale import warn_of_scale
from .state import State
from .steps import drops_last
from .weighting import class_numbers, class_weights, divide, sample_weights

Array = npt.NDArray[Any]


Source = codes.Data | Batches | Feed  # of the training samples


class Intake:
    """Checks and converts a trainer's input for the kernels."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.column_names = state.column_names  # if the trainer has none, those of the first input
        self.scaling = state.scaling  # if the trainer has none, that of the training samples
        self.looks = True  # whether the next batch is the first

    def remember(self, names: Names) -> None:
        """Give the trainer the column names and the scaling of the training data, if it has none."""
        self.state.scaling = self.scaling
        if names is not NONE:
            self.state.column_names = self.state.column_names.or_else(names)

    def data(
        self,
        X_name: str,
        X: Any,
        y_name: str,
        y: Any,
        metrics: tuple[Any, ...] = (),
        sample_weight: Any = None,
        class_weight: Any = None,
        *,
        weight_name: str = "sample_weight",
        shuffle: bool = False,
        of_more: bool = False,
        warns: bool = True,
        scaled: bool = True,
    ) -> codes.Data:
        """Check and convert X and y for the kernels. If of_more, they are only a part, and all weights may be 0.

        If not scaled, X and y keep their own units, for `standardized`.
        """
        columns = names_of(X, y)
        if columns is not NONE:  # frames or series
            self.column_names.check(X_name, columns, y_name)
            X, y = without_index(X), without_index(y)
        state, network = self.state, self.state.network
        sizes, output, dtype = network.layer_sizes, state.answer_activation, network.dtype
        of_X, of_y = (state.dtype_of(X), state.dtype_of_y) if state.standardize else (dtype, dtype)
        X = _checks.matrix(X_name, X, sizes[0], of_X)
        network.check_inputs(X_name, X)
        targets, labels = encode(y_name, y, len(X), state.n_targets, state.loss.of_targets, output, of_y, warns=warns)
        weights = sample_weights(weight_name, sample_weight, len(X), dtype, may_be_zero=of_more)
        if class_weight is not None:
            weights = self._by_class(class_weight, y_name, targets, labels, weights)
            if not of_more and weights.max() == 0:
                raise ValueError(_checks.wrong("class_weight", "a weight > 0 for some sample", "only 0"))
        if metrics:
            check_metrics(
                y_name,
                targets,
                metrics,
                threshold=state.threshold,
                output_activation=output,
                multi_label=state.multi_label,
            )
            check_answers(metrics, state)
        self.column_names = self.column_names.or_else(columns)
        data = state.engine.data(X, padded(targets, sizes[-1]), labels, weights, shuffle=shuffle)
        return self.standardized(data, X_name, y_name) if scaled and state.standardize else data

    def standardized(self, data: codes.Data, X_name: str = "X", y_name: str = "y") -> codes.Data:
        """Return samples in the units of the network. Before the first fit, these are their own."""
        scaling, dtype = self.scaling, self.state.network.dtype
        if scaling is None:
            targets = _checks.cast(y_name, data.targets, dtype) if data.targets.size else data.targets
            return data._replace(X=_checks.cast(X_name, data.X, dtype), targets=targets)
        X, targets = scaling.inputs(X_name, data.X, dtype), scaling.targets(y_name, data.targets, dtype)
        return data._replace(X=X, targets=targets)

    def trained_on(self, data: codes.Data) -> codes.Data:
        """Return training samples in the units of the network, after their means and deviations are known."""
        if self.scaling is None:
            self.scaling = self._learnt([data])
        return self.standardized(data)

    def _learnt(self, parts: Iterable[codes.Data]) -> Scaling:
        """Return the means and deviations of training samples in their own units, which may come in parts."""
        network = self.state.network
        n_in, *_, n_out = network.layer_sizes
        scaling = learnt(parts, n_in, n_out if self.state.scales_targets else 0)
        scaling.mean[network.n_numbers :], scaling.deviation[network.n_numbers :] = 0, 1  # categories stay as they are
        return scaling

    def check_scaling_is_known(self, argument: str, came: str) -> None:
        """Refuse samples from which the means and deviations can't be computed before training."""
        if self.state.standardize and self.scaling is None:
            expected = (
                "all training samples at once in the first fit, because standardize=True; call fit(X, y, epochs=0)"
            )
            raise ValueError(_checks.wrong(argument, f"{expected} with an array or a Stream before", came))
        self._check_edges_are_known(argument, came)

    def _check_edges_are_known(self, argument: str, came: str) -> None:
        """Refuse samples from which the edges of bins can't be computed before training."""
        if self.state.network.wants_edges:
            expected = "all training samples at once in the first fit, because PiecewiseLinear has no edges yet"
            raise ValueError(
                _checks.wrong(argument, f"{expected}; call fit(X, y, epochs=0) with an array before", came)
            )

    def _by_class(
        self, class_weight: Any, y_name: str, targets: Array, labels: npt.NDArray[np.int64], weights: Array | None
    ) -> Array:
        """Return the weights of the samples, multiplied by those of their classes."""
        threshold, n_out = self.state.threshold, self.state.n_targets
        if self.state.multi_label:
            raise ValueError(_checks.wrong("class_weight", "None, because each output is a separate label", "weights"))
        check_classes(y_name, targets, "there is a class_weight", threshold, False)
        numbers = class_numbers(targets, labels, threshold)
        by_class = class_weights(class_weight, numbers, max(2, n_out), self.state.network.dtype)
        return by_class if weights is None else weights * by_class

    def training(
        self,
        X: Any,
        y: Any,
        metrics: tuple[Any, ...],
        sample_weight: Any,
        class_weight: Any,
        *,
        steps: Any,
        epochs: int,
        validation_data: Any,
        validation_split: SupportsFloat,
        sharded: bool,
    ) -> tuple[Source, codes.Data | Feed | None]:
        """Return the training data and the validation data, given the arguments of fit."""
        validates, is_stream = validation_data is not None, isinstance(X, Stream)
        if validates:
            _checks.absent("together with validation_data", validation_split=validation_split)
        kind = "a Stream" if is_stream else "an iterable of batches" if y is None else "an array"
        if steps is not None and kind != "an iterable of batches":
            raise ValueError(_checks.wrong("steps", f"None, because X is {kind}", steps))
        if is_stream:
            refuse("y", y)
        if sharded:
            check_sharded(kind, class_weight, validation_split, bool(metrics) and not validates)
        if kind == "an array":
            of_more = sharded and self.state.ranks is not None
            shuffle = self.state.shuffle
            if of_more:
                self.check_scaling_is_known("sharded", "one rank's samples")
                if drops_last(self.state):
                    expected = "False with drop_last=True, because all batches are about equally large"
                    raise ValueError(_checks.wrong("sharded", expected, True))
            data = self.data(
                "X", X, "y", y, metrics, sample_weight, class_weight, shuffle=shuffle, of_more=of_more, scaled=False
            )
            columns = self.column_names  # before those of the validation data
            data, apart = (data, None) if validates else self.split(data, validation_split)
            if self.state.standardize:
                data, apart = self.trained_on(data), None if apart is None else self.standardized(apart)
            else:
                warn_of_scale(self.state, columns, data)
            validation = self.validation(validation_data, metrics, epochs) if validates else apart
            self.remember(columns)
            return data, validation
        self.check_goes_by_batches(f"X is {kind}")
        self._check_edges_are_known("X", kind)
        if isinstance(X, Stream):
            shuffle = self.state.shuffle
            if self.state.standardize and self.scaling is None:
                self._learn_from(X, class_weight)
            source: Source = self.feed("X", X, epochs=epochs, class_weight=class_weight, shuffle=shuffle, trains=True)
        else:
            source = self.batches(X, steps, epochs)
        _checks.absent(f"because X is {kind}", sample_weight=sample_weight, validation_split=validation_split)
        if metrics and not validates:
            raise ValueError(_checks.wrong("metrics", f"validation_data to measure, because X is {kind}", "none"))
        columns = self.column_names
        validation = self.validation(validation_data, metrics, epochs) if validates else None
        self.remember(columns)
        return source, validation

    def measured(self, X: Any, y: Any, metrics: tuple[Any, ...], sample_weight: Any) -> codes.Data | Feed:
        """Check and convert the arguments of `evaluate`."""
        if not isinstance(X, Stream):
            return self.data("X", X, "y", y, metrics, sample_weight)
        refuse("y", y)
        refuse("sample_weight", sample_weight)
        return self.feed("X", X, metrics)

    def validation(self, value: Any, metrics: tuple[Any, ...], epochs: int) -> codes.Data | Feed:
        if isinstance(value, Stream):
            return self.feed("validation_data", value, metrics, epochs=epochs)
        parts = _checks.parts("validation_data", value)
        return self.data(
            "validation_data[0]",
            parts[0],
            "validation_data[1]",
            parts[1],
            metrics,
            *parts[2:],
            weight_name="validation_data[2]",
        )

    def check_goes_by_batches(self, reason: str) -> None:
        """Refuse L-BFGS, which needs all samples at once."""
        if self.state.optimizer.name == "lbfgs":
            raise ValueError(_checks.wrong("optimizer", f"one that trains in batches, because {reason}", "'lbfgs'"))

    def batches(self, X: Any, steps: int | None, epochs: int) -> Batches:
        if not isinstance(X, Iterable) or isinstance(X, np.ndarray | str | bytes) or hasattr(X, "to_numpy"):
            raise TypeError(_checks.wrong("y", "numbers, or an iterable of batches (X, y) as X", "None"))
        self.check_scaling_is_known("X", "an iterable of batches")
        if drops_last(self.state):
            expected = "an array or a Stream, because drop_last=True leaves out a batch by batch_size"
            raise ValueError(_checks.wrong("X", expected, "an iterable of batches"))
        batches = Batches(X, None if steps is None else _checks.whole("steps", steps, minimum=1), epochs)
        batches.intake = self
        return batches

    def feed(
        self,
        argument: str,
        stream: Stream,
        metrics: tuple[Any, ...] = (),
        *,
        epochs: int = 1,
        class_weight: Any = None,
        shuffle: bool = False,
        trains: bool = False,
        scaled: bool = True,
    ) -> Feed:
        """Return the passes over a Stream, whose chunks are checked when they are read."""
        stream = stream._ordered(self.column_names)
        self.column_names.check(argument, stream._names, argument)
        self.column_names = self.column_names.or_else(stream._names)
        if stream._once and epochs > 1:
            expected = f"a Stream of a function or of an iterable that can start again, for {epochs} epochs"
            raise ValueError(_checks.wrong(argument, expected, "one of an iterator"))
        if isinstance(class_weight, str):
            came = f"{class_weight!r}, for which all classes must have been counted"
            raise ValueError(_checks.wrong("class_weight", "a dict of weights, because X is a Stream", came))
        check_means(metrics)

        def take(name: str, chunk: Any, is_first: bool) -> codes.Data:
            parts = _checks.parts(name, chunk)
            data = self.data(
                f"X of {name}",
                parts[0],
                f"y of {name}",
                parts[1],
                metrics,
                parts[2] if len(parts) > 2 else None,
                class_weight,
                weight_name=f"sample_weight of {name}",
                of_more=True,
                warns=is_first,
                scaled=scaled,
            )
            if trains:
                if is_first:
                    warn_of_scale(self.state, self.column_names, data)
                self.remember(names_of(parts[0], parts[1]))
            return data

        return Feed(argument, stream, take, self.state.engine.data, shuffles=shuffle)

    def _learn_from(self, stream: Stream, class_weight: Any) -> None:
        """Compute the means and deviations of a Stream, in a pass of its own over it."""
        if stream._once:
            expected = (
                "a Stream of a function or of an iterable that can start again, because standardize=True needs a pass"
            )
            raise ValueError(_checks.wrong("X", expected, "one of an iterator"))
        feed = self.feed("X", stream, class_weight=class_weight, scaled=False)
        with feed.epoch(BLOCK, self.state.random, lambda: None) as slabs:
            self.scaling = self._learnt(slabs)

    def batch(self, item: Any, metrics: tuple[Any, ...], class_weight: Any) -> codes.Data:
        parts = _checks.parts("batch", item)
        weight = parts[2] if len(parts) > 2 else None
        data = self.data(
            "batch[0]", parts[0], "batch[1]", parts[1], metrics, weight, class_weight, weight_name="batch[2]"
        )
        if self.looks:
            self.looks = False
            warn_of_scale(self.state, self.column_names, data)
        self.remember(names_of(parts[0], parts[1]))
        return data

    def whole_batch(self, X: Any, y: Any, sample_weight: Any) -> codes.Data:
        """Check and convert the arguments of `train_on_batch`."""
        self.check_goes_by_batches("train_on_batch is called")
        self.check_scaling_is_known("X", "one batch")
        data = self.data("X", X, "y", y, (), sample_weight)
        self.remember(self.column_names)
        return data

    def split(self, data: codes.Data, fraction: SupportsFloat) -> tuple[codes.Data, codes.Data | None]:
        """Split the samples into those that train and a fraction that validates."""
        fraction = _checks.fraction("validation_split", fraction)
        if fraction == 0:
            return data, None
        training, validating = self.divided(data, fraction)
        parts = self.rows(data, training, shuffle=self.state.shuffle), self.rows(data, validating)
        for part in parts:
            if part.weight == 0:
                came = "only samples of weight 0 in one of them"
                raise ValueError(_checks.wrong("validation_split", "weights > 0 in both parts", came))
        return parts

    def divided(self, data: codes.Data, fraction: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the rows that train and those that validate, stratified by class if the targets are classes."""
        classes = None
        targets = data.targets[:, : self.state.n_targets]
        if data.labels.size or np.isin(targets, (-1, 0, 1)).all():
            classes = class_numbers(targets, data.labels, self.state.threshold)
        return divide(fraction, len(data.X), classes, self.state.generator())

    def rows(self, data: codes.Data, rows: npt.NDArray[np.int64], *, shuffle: bool = False) -> codes.Data:
        """Return copies of some of the samples."""
        return self.state.engine.data(
            data.X[rows],
            data.targets[rows] if data.targets.size else data.targets,
            data.labels[rows] if data.labels.size else data.labels,
            data.weights[rows] if data.weights.size else None,
            shuffle=shuffle,
        )


def check_answers(metrics: tuple[Any, ...], state: State) -> None:
    """Refuse a metric of fastbp's own if the loss doesn't say what the predictions of the targets are."""
    own = [name for name in metrics if isinstance(name, str)]
    if own and not state.loss.predicts_targets:
        expected = f"functions of your own, because the loss {state.loss.name!r} has more outputs than targets"
        raise ValueError(_checks.wrong("metrics", expected, repr(own[0])))
