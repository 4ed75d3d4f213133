"""Configurations of networks: the space that is searched, and the portfolio that is tried first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import count
from typing import Any

import numpy as np

from ._views import ViewSpec


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
        fourier=8 if kind == "fourier" else 0,
        sigma=float(10 ** rng.uniform(-1, 0)),
        means=bool(rng.random() < 0.25),
    )
    epochs = int(rng.choice([30, 40, 60] if classes else [60, 100]))
    return Configuration(
        view=view,
        hidden=(width,) * depth,
        activation=str(rng.choice(["relu", "mish", "gelu", "silu", "tanh"])),
        learning_rate=float(10 ** rng.uniform(-2.8, -2.2)),
        weight_decay=float(10 ** rng.uniform(-1.5, 0.1)),
        dropout=float(rng.choice([0, 0.1, 0.2, 0.3, 0.4] if classes else [0, 0.05])),
        batch_size=int(rng.choice([64, 128] if classes else [32, 64])),
        epochs=epochs,
        patience=4 + epochs // 6,
        target="log" if not classes and rng.random() < 0.2 else "identity",
    )


def configurations(seed: int, *, classes: bool) -> Iterator[Configuration]:
    """Yield the portfolio, and then random configurations without end."""
    first = portfolio(classes)
    for j in count():
        chosen = first[j] if j < len(first) else sampled(np.random.default_rng((seed, j)), classes=classes)
        own = j + 1 if chosen.view.fourier else 0  # so that no two have the same frequencies
        yield replace(chosen, view=replace(chosen.view, seed=own))
