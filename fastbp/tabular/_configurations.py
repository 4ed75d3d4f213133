"""Configurations of networks: the space that is searched, and the portfolio that is tried first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from ._views import ViewSpec

ACTIVATIONS = ("relu", "mish", "gelu", "silu", "tanh")


@dataclass(frozen=True)
class Configuration:
    """How the networks of a member are built and trained.

    Attributes
    ----------
    view : the features that they see
    hidden : units of the hidden layers
    activation : of the hidden layers
    learning_rate, weight_decay : of AdamW; η falls to 0 in a half cosine
    dropout : of the hidden layers
    batch_size : rows of a batch
    epochs : the most epochs
    patience : epochs without improvement after which training stops
    target : the transform of numeric targets, of `TargetTransform`
    label_smoothing : of classes
    pbld, sigma : the number of learnt frequencies of each scaled number (PBLD), or 0, and their first deviation
    scale : the factor of η for a learnt scale of the inputs, or 0 for no scale
    parametric : whether each hidden unit has a factor of its activation
    """

    view: ViewSpec = field(default_factory=ViewSpec)
    hidden: tuple[int, ...] = (128, 64)
    activation: str = "relu"
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.1
    batch_size: int = 128
    epochs: int = 60
    patience: int = 12
    target: str = "identity"
    label_smoothing: float = 0.0
    pbld: int = 0
    sigma: float = 0.1
    scale: float = 0.0
    parametric: bool = False

    @property
    def has_layers(self) -> bool:
        """Whether the networks have more than linear layers and activations."""
        return bool(self.pbld or self.scale or self.parametric)

    def narrower(self) -> Configuration:
        """Return the configuration with half as many hidden units."""
        return replace(self, hidden=tuple(max(1, units // 2) for units in self.hidden))

    def record(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return asdict(self) | {"hidden": list(self.hidden)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Configuration:
        """Return the configuration of a `record`."""
        return cls(**dict(record) | {"view": ViewSpec(**record["view"]), "hidden": tuple(record["hidden"])})


@cache
def portfolio(classes: bool) -> tuple[Configuration, ...]:
    """Return the configurations that are tried first, in order. `make portfolio` computes them."""
    text = files(__package__).joinpath("portfolio.json").read_text(encoding="utf-8")
    return tuple(map(Configuration.from_record, json.loads(text)["classes" if classes else "numbers"]))


def sampled(rng: np.random.Generator, *, classes: bool) -> Configuration:
    """Return a random configuration of the space.

    The space has what was good over many tables: numbers as pieces, or as ranks and logarithms; strong decay; less
    dropout, smaller batches and more epochs for numbers than for classes.
    """
    width, depth = int(rng.choice([64, 128, 256])), int(rng.choice([1, 2, 3], p=[0.35, 0.45, 0.2]))
    kind = rng.choice(["pieces", "rank", "fourier"], p=[0.45, 0.35, 0.2])
    view = ViewSpec(
        rank=bool(kind == "rank" or rng.random() < 0.2),
        log=bool(rng.random() < 0.7),
        pieces=int(rng.choice([8, 16, 32])) if kind == "pieces" else 0,
        fourier=int(rng.choice([8, 16])) if kind == "fourier" else 0,
        sigma=float(10 ** rng.uniform(-1, 0.2)),
        means=bool(rng.random() < 0.25),
    )
    epochs = int(rng.choice([30, 40, 60] if classes else [60, 100]))
    return Configuration(
        view=view,
        hidden=(width,) * depth,
        activation=str(rng.choice(ACTIVATIONS)),
        learning_rate=float(10 ** rng.uniform(-2.8, -2.2)),
        weight_decay=float(10 ** rng.uniform(-1.5, 0.1)),
        dropout=float(rng.choice([0, 0.1, 0.2, 0.3, 0.4] if classes else [0, 0.05])),
        batch_size=int(rng.choice([64, 128] if classes else [32, 64])),
        epochs=epochs,
        patience=4 + epochs // 6,
        target="log" if not classes and rng.random() < 0.2 else "identity",
    )


def varied(configuration: Configuration, rng: np.random.Generator, *, classes: bool) -> Configuration:
    """Return a configuration near another one, which was good on this table."""
    view = configuration.view
    if view.pieces:
        view = replace(view, pieces=int(np.clip(view.pieces * rng.choice([0.5, 1, 2]), 4, 64)))
    if rng.random() < 0.3:
        view = replace(view, log=not view.log)
    epochs = int(configuration.epochs * rng.choice([1, 1.5]))
    return replace(
        configuration,
        view=view,
        hidden=tuple(
            int(min(512, units * factor)) for factor in [rng.choice([1, 1, 2])] for units in configuration.hidden
        ),
        activation=configuration.activation if rng.random() < 0.6 else str(rng.choice(ACTIVATIONS)),
        learning_rate=float(configuration.learning_rate * 10 ** rng.uniform(-0.2, 0.2)),
        weight_decay=float(configuration.weight_decay * 10 ** rng.uniform(-0.5, 0.5)),
        dropout=float(np.clip(configuration.dropout + rng.uniform(-0.1, 0.1), 0, 0.5 if classes else 0.1)),
        epochs=epochs,
        patience=4 + epochs // 6,
    )


def proposed(number: int, seed: int, good: Sequence[Configuration], *, classes: bool) -> Configuration:
    """Return the configuration of a candidate.

    The portfolio comes first. Then random configurations and variations of good ones take turns.

    Parameters
    ----------
    number : place of the candidate, from 0
    seed : of all candidates
    good : the best configurations so far, the best first
    classes : whether the targets are classes
    """
    first, rng = portfolio(classes), np.random.default_rng((seed, number))
    if number < len(first):
        chosen = first[number]
    elif good and number % 3:
        chosen = varied(good[int(rng.integers(len(good)))], rng, classes=classes)
    else:
        chosen = sampled(rng, classes=classes)
    own = number + 1 if chosen.view.fourier else 0  # so that no two have the same frequencies
    return replace(chosen, view=replace(chosen.view, seed=own))
