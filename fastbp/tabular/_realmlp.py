"""RealMLP (arXiv 2407.04491): the recipe, the networks, and their first weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import layers, losses, optimizers, schedules
from ..reference import activation
from ..trainer import Trainer
from ._realmlp_inputs import Features

Array = npt.NDArray[Any]

COMBINED = 5  # of them that decide a bias
TINY = 1e-30  # a deviation below it is that of a constant
ALL_ONE_HOT = 1 << 31


@dataclass(frozen=True)
class Recipe:
    """How networks are built and trained. The usual values are those of RealMLP-TD for classes.

    Attributes
    ----------
    hidden : units of the hidden layers
    activation : of the hidden layers
    parametric : whether each hidden unit has a factor α of its activation
    frequencies : of each number's periodic embedding (PBLD); 0 for none
    embedding, sigma : columns that a number becomes with PBLD, and the deviation of its first frequencies
    one_hot : the most categories of a column, the missing one counted, that are one-hot features
    category_embedding : columns that a column with more categories becomes
    from_data : whether the first weights depend on the training rows
    learning_rate : η, which follows four cycles of growing length
    weight_decay, dropout : both constant in the first half of the training, then falling to 0 in a half cosine
    label_smoothing : of classes
    batch_size, epochs : a last batch that is short is left out
    """

    hidden: tuple[int, ...] = (256, 256, 256)
    activation: str = "selu"
    parametric: bool = True
    frequencies: int = 16
    embedding: int = 4
    sigma: float = 0.1
    one_hot: int = 9
    category_embedding: int = 8
    from_data: bool = True
    learning_rate: float = 0.04
    weight_decay: float = 0.02
    dropout: float = 0.15
    label_smoothing: float = 0.0
    batch_size: int = 256
    epochs: int = 256


TUNED = Recipe()
SIMPLE = replace(
    TUNED, parametric=False, frequencies=0, one_hot=ALL_ONE_HOT, from_data=False, weight_decay=0.0, dropout=0.0
)
RECIPES = {  # for classes and for numbers
    "td": (TUNED, replace(TUNED, activation="mish", learning_rate=0.2)),
    "td-s": (SIMPLE, replace(SIMPLE, activation="mish", learning_rate=0.07)),
}


def new_trainer(
    recipe: Recipe, features: Features, n_classes: int | None, rows: int, seed: int, n_threads: int | str = 1
) -> Trainer:
    """Return a network for features that a table has; n_classes: k, or None for numbers; rows: that train."""
    decays, drops = recipe.weight_decay > 0, recipe.dropout > 0
    rates = {"learning_rate": recipe.learning_rate, "beta_1": 0.9, "beta_2": 0.95, "epsilon": 1e-8}
    optimizer: Any = optimizers.Adam(**rates)
    if decays:
        optimizer = optimizers.AdamW(**rates, weight_decay=recipe.weight_decay)
    return Trainer(
        _layers(recipe, features, n_classes or 1),
        activation=recipe.activation,
        loss="squared_error" if n_classes is None else losses.CrossEntropy(label_smoothing=recipe.label_smoothing),
        optimizer=optimizer,
        schedule=schedules.CosLog(4),
        weight_decay_schedule=schedules.FlatCosine() if decays else None,
        dropout_schedule=schedules.FlatCosine() if drops else None,
        parameter_groups=groups_of(recipe, features),
        batch_size=min(recipe.batch_size, rows),
        drop_last=True,
        seed=seed,
        n_threads=n_threads,
    )


def _layers(recipe: Recipe, features: Features, n_outputs: int) -> list[Any]:
    """Return the layers of a network."""
    dim = recipe.category_embedding if features.categories else None
    found: list[Any] = [layers.Inputs(features.n_plain, features.categories, embedding_dim=dim)]
    if recipe.frequencies and features.n_numbers:
        found.append(layers.PBLD(recipe.embedding, recipe.frequencies, recipe.sigma, n_numbers=features.n_numbers))
    found.append(layers.Scale())
    for units in recipe.hidden:
        found.append(layers.Dense(units, parametric=recipe.parametric, dropout=recipe.dropout))
    return [*found, n_outputs]


def sizes_of(recipe: Recipe, features: Features) -> list[int]:
    """Return what the linear layers read: the columns behind the embeddings, and the hidden units."""
    each = recipe.embedding if recipe.frequencies else 1
    first = features.n_numbers * each + features.n_others + recipe.category_embedding * len(features.categories)
    return [first, *recipe.hidden]


def groups_of(recipe: Recipe, features: Features) -> dict[str, dict[str, float]]:
    """Return the factors of η and of the decay.

    In RealMLP, y = x W / √n + b. The update of W with η and Adam, seen from Θ = W / √n, is one with η / √n. The
    decay of both is by the same share, which is η times that of the optimizer; √n makes up for the smaller η.
    """
    groups = {"*.bias": (0.1, 0.0), "scale1": (6.0, 6.0)}
    if recipe.parametric:
        groups["*.alpha"] = 0.1, 0.1
    if recipe.frequencies and features.n_numbers:
        groups["pbld.*"] = 0.1, 0.1
    for i, n in enumerate(sizes_of(recipe, features), 1):
        groups[f"dense{i}.weight"] = n**-0.5, n**0.5
    names = ("learning_rate", "weight_decay")[: 2 if recipe.weight_decay else 1]
    return {pattern: dict(zip(names, factors, strict=False)) for pattern, factors in groups.items()}


# The first weights


def initialize(trainer: Trainer, recipe: Recipe, features: Features, X: Array, rng: np.random.Generator) -> None:
    """Set the weights and biases of the linear layers.

    With `from_data`, the pre-activations of each unit have the deviation 1 over the rows X, and the bias is minus a
    random mean of five of them. Otherwise W and b are normal, and 0 in the last layer.
    """
    named, count = trainer.named_parameters(), len(recipe.hidden) + 1
    pairs = [(named[f"dense{i}.weight"], named[f"dense{i}.bias"]) for i in range(1, count + 1)]
    if not recipe.from_data:
        for weight, bias in pairs[:-1]:
            weight[:] = rng.normal(0, weight.shape[1] ** -0.5, weight.shape)
            bias[:] = rng.normal(size=bias.shape)
        for array in pairs[-1]:
            array[:] = 0
        return
    a = embedded(named, features, X)
    for weight, bias in pairs:
        theta = rng.normal(size=weight.shape)
        z = a @ theta.T
        deviations = z.std(axis=0)
        deviations[deviations < TINY] = 1.0
        z /= deviations
        weight[:] = theta / deviations[:, None]
        rows = rng.integers(len(z), size=(COMBINED, len(bias)))
        shares = rng.exponential(size=rows.shape)
        bias[:] = -(np.take_along_axis(z, rows, 0) * shares).sum(axis=0) / shares.sum(axis=0)
        a = activation(z + bias, recipe.activation)  # α is 1


def embedded(named: Mapping[str, Array], features: Features, X: Array) -> Array:
    """Return what the first linear layer reads of rows X, (m, n)."""
    X = X.astype(np.float64)
    k = features.n_numbers
    parts = [X[:, :k], X[:, k : features.n_plain]]
    if "pbld.weight" in named:
        w, b, W, c = (named[f"pbld.{name}"].astype(np.float64) for name in ("frequency", "phase", "weight", "bias"))
        waves = np.cos(2 * np.pi * X[:, :k, None] * w + b)  # (m, k, frequencies)
        parts[0] = np.concatenate([X[:, :k, None], np.einsum("mki,kji->mkj", waves, W) + c], axis=2).reshape(len(X), -1)
    for i in range(len(features.categories)):
        parts.append(named[f"embedding{i + 1}.weight"][X[:, features.n_plain + i].astype(np.intp)])
    return np.concatenate(parts, axis=1) * named["scale1.scale"]


def set_parameters(trainer: Trainer, parameters: Mapping[str, Array]) -> None:
    """Give a network these parameters."""
    for name, view in trainer.named_parameters().items():
        if name in parameters:
            view[:] = parameters[name]
