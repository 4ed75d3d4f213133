"""The networks of one configuration: trained in the folds, and what they predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import layers, losses, optimizers
from .._training.course import Course
from ..schedules import Cosine
from ..tables import RawColumns
from ..trainer import Trainer
from ._configurations import Configuration
from ._objectives import Objective
from ._problem import Problem
from ._targets import TargetTransform
from ._views import View

Array = npt.NDArray[Any]

CHUNK_SECONDS = 0.1  # between two looks at the clock
EMBEDDED = 4  # columns that a number becomes with PBLD


@dataclass(frozen=True)
class Architecture:
    """What turns a view and parameters into predictions.

    Attributes
    ----------
    configuration : that of the networks
    objective : what the ensemble minimizes
    n_inputs : width of the view
    n_scaled : how many of its first columns are scaled numbers
    n_classes : k, or None for numbers
    transform : of numeric targets, or None
    """

    configuration: Configuration
    objective: Objective
    n_inputs: int
    n_scaled: int
    n_classes: int | None
    transform: TargetTransform | None

    @property
    def n_outputs(self) -> int:
        """Units of the output layer."""
        return self.n_classes or 1

    def trainer(self, seed: int, rows: int) -> Trainer:
        """Return a new network; rows: of the training samples, which limit the batch."""
        options = self.configuration
        loss: Any = self.objective.network_loss
        if self.n_classes is not None:
            loss = losses.CrossEntropy(label_smoothing=options.label_smoothing)
        others: dict[str, Any] = {"dropout": options.dropout}
        sizes: list[Any] = [self.n_inputs, *options.hidden, self.n_outputs]
        if options.has_layers:
            sizes, others = self._layers(), {"parameter_groups": self._groups()}
        return Trainer(
            sizes,
            activation=options.activation,
            loss=loss,
            optimizer=optimizers.AdamW(learning_rate=options.learning_rate, weight_decay=options.weight_decay),
            initializer="he",
            batch_size=min(options.batch_size, max(1, rows // 8)),
            seed=seed,
            n_threads=1,
            **others,
        )

    def _layers(self) -> list[Any]:
        """Return the layers of a network with more than linear layers and activations."""
        options = self.configuration
        found: list[Any] = [layers.Inputs(self.n_inputs)]
        if options.pbld and self.n_scaled:
            found.append(layers.PBLD(EMBEDDED, options.pbld, options.sigma, n_numbers=self.n_scaled))
        if options.scale:
            found.append(layers.Scale())
        for units in options.hidden:
            found.append(layers.Dense(units, parametric=options.parametric, dropout=options.dropout))
        return [*found, self.n_outputs]

    def _groups(self) -> dict[str, dict[str, float]] | None:
        """Return the factors of η and of the decay."""
        scale = self.configuration.scale
        return {"scale1": {"learning_rate": scale, "weight_decay": 0.0}} if scale else None

    def answers(self, output: Array) -> Array:
        """Return the predictions of the network's output: (n, k) probabilities, or (n,) numbers."""
        if self.n_classes is not None:
            return output
        assert self.transform is not None
        return self.transform.backward(output[:, 0])


def multiplications(problem: Problem, configuration: Configuration, width: int) -> float:
    """Return the multiplications of an epoch of one network that sees so many features."""
    if configuration.pbld:
        numbers = len(problem.raw.numbers)
        width += numbers * (EMBEDDED - 1)
    sizes = [width, *configuration.hidden, problem.n_classes or 1]
    rows = len(problem) * (1 - 1 / problem.n_folds)
    return 3.0 * rows * sum(n * n_next for n, n_next in pairwise(sizes))


class NetworkMember:
    """A member of the ensemble: the networks of a configuration, one for each fold.

    Attributes
    ----------
    name : number of the candidate, and its configuration in short
    family : "network"
    oof : out-of-fold predictions of the training rows
    loss : of these
    seconds : processor time of the training
    """

    family = "network"

    def __init__(self, name: str, view: View, architecture: Architecture, parameters: Array) -> None:
        self.name, self.view, self.architecture, self.parameters = name, view, architecture, parameters
        self.oof: Array = np.empty(0)
        self.loss, self.seconds = np.inf, 0.0

    def spread(self, rows: RawColumns) -> Array:
        """Return the predictions of each fold's network, (f, n, k) or (f, n)."""
        X = self.view.matrix(rows)
        trainer = self.architecture.trainer(0, 1)
        found = []
        for parameters in self.parameters:
            trainer.network.unpack(parameters)
            found.append(self.architecture.answers(trainer.predict(X)))
        return np.stack(found)

    def predict(self, rows: RawColumns) -> Array:
        """Return the mean of the networks' predictions."""
        return self.spread(rows).mean(axis=0)


class Folds:
    """The training of one configuration, fold by fold.

    Parameters
    ----------
    problem : the rows
    configuration : of the networks
    number : that of the candidate
    seed : of all candidates
    epochs : the most epochs of a network

    Attributes
    ----------
    name : what people call the member
    multiplications : of an epoch of one network
    oof : predictions of the rows that each network has not seen
    """

    def __init__(self, problem: Problem, configuration: Configuration, number: int, seed: int, epochs: int) -> None:
        self.problem, self.number, self.seed, self.epochs = problem, number, seed, epochs
        self.name = f"network {number + 1}: {'-'.join(map(str, configuration.hidden))} {configuration.activation}"
        self.view, self._X = problem.view(configuration.view)
        self.multiplications = multiplications(problem, configuration, self.view.width)
        transform = problem.transform(configuration.target)
        self.architecture = Architecture(
            configuration, problem.objective, self.view.width, self.view.n_scaled, problem.n_classes, transform
        )
        self._targets = self._labels = None
        if problem.n_classes is None:
            assert transform is not None
            self._targets = transform.forward(problem.y).astype(np.float32)[:, None]
        else:
            self._labels = problem.y.astype(np.int64)
        self._weights = None if problem.weights is None else problem.weights.astype(np.float32)
        shape = (len(problem), problem.n_classes) if problem.n_classes else (len(problem),)
        self.oof = np.empty(shape, np.float64 if problem.n_classes is None else np.float32)  # dates need 64 bits
        self._parameters: list[Array | None] = [None] * problem.n_folds

    def train(self, fold: int, left: Callable[[], float]) -> int:
        """Train the network of a fold while there are seconds left. Return the number of epochs."""
        training, validating = self.problem.rows(fold)
        seed = int(np.random.default_rng((self.seed, self.number, fold)).integers(1 << 32))
        trainer = self.architecture.trainer(seed, len(training))
        state = trainer._state
        engine = state.engine
        arrays = self._X, self._targets, self._labels, self._weights
        data = engine.data(*arrays, rows=training, shuffle=True)
        validation = engine.data(*arrays, rows=validating)
        batches = -(-len(training) // min(trainer.batch_size, len(training)))
        rates = trainer.learning_rate * Cosine()(np.arange(self.epochs * batches) / batches, self.epochs)
        patience = self.architecture.configuration.patience
        course = Course(state, data, validation, epochs=self.epochs, patience=patience, rates=rates)
        while not course.advance(max(0.0, min(CHUNK_SECONDS, left()))):
            if left() <= 0:
                course.stop()
        if course.best_epoch >= 0:
            _, output = engine.evaluate(validation, 1, predictions=True)
            self.oof[validating] = self.architecture.answers(output)
            self._parameters[fold] = trainer.network.packed()
        return len(course.losses)

    def trained(self, fold: int) -> bool:
        """Return whether a fold has a network."""
        return self._parameters[fold] is not None

    def first_loss(self) -> float:
        """Return the loss of the first fold's predictions; infinity if it has no network."""
        if not self.trained(0):
            return np.inf
        _, rows = self.problem.rows(0)
        weights = None if self.problem.weights is None else self.problem.weights[rows]
        return self.problem.objective.loss(self.problem.y[rows], self.oof[rows], weights)

    @property
    def complete(self) -> bool:
        """Whether each fold has a network."""
        return all(parameters is not None for parameters in self._parameters)

    def member(self, seconds: float) -> NetworkMember:
        """Return the trained networks as a member."""
        problem, parameters = self.problem, [each for each in self._parameters if each is not None]
        member = NetworkMember(self.name, self.view, self.architecture, np.stack(parameters))
        member.oof, member.seconds = self.oof, seconds
        member.loss = problem.objective.loss(problem.y, self.oof, problem.weights)
        return member
