"""Ensemble: networks that differ only in their initial weights and predict together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from .. import _checks, metrics as metric_functions
from .._training.measures import metrics_in_own_units
from ..trainer import Trainer
from ._fit_many import fit_many
from ._fits import Outcome

Array = npt.NDArray[Any]


class Ensemble:
    """Networks with one architecture and different seeds, trained at once; they predict by their mean or by a vote.

    Parameters
    ----------
    n_networks : int
        Number of networks k ≥ 1.
    layer_sizes : sequence of int
        n_1 … n_L, as in `Trainer`.
    voting : {"soft", "hard"}
        How `predict_classes` combines the networks: "soft" uses the mean of their outputs, "hard" the class that most
        networks predict. If several classes have the same number of votes, the smallest class number wins.
    seed : int, optional
        Seed of the first network; the next one has seed + 1, and so on. By default, all networks have different random
        seeds, which are different every time.
    **options : any
        Arguments of `Trainer`, the same for all networks.

    Attributes
    ----------
    trainers : list of Trainer
        The networks. You can save, inspect or train each of them individually.

    Raises
    ------
    ValueError, TypeError
        If an argument has the wrong type or is out of its range.

    Examples
    --------
    >>> ensemble = Ensemble(20, [64, 32, 10], loss="cross_entropy", optimizer="adam", seed=0)
    >>> outcomes = ensemble.fit(X, y, epochs=20)
    >>> ensemble.predict_classes(X_test)
    """

    def __init__(
        self,
        n_networks: SupportsIndex,
        layer_sizes: Iterable[int],
        *,
        voting: str = "soft",
        seed: SupportsIndex | None = None,
        **options: Any,
    ) -> None:
        count = _checks.whole("n_networks", n_networks, minimum=1)
        self.voting = _checks.one_of("voting", voting, ("soft", "hard"))
        first = None if seed is None else _checks.whole("seed", seed, minimum=0)
        sizes = list(_checks.sequence("layer_sizes", layer_sizes, "two or more layer sizes, such as [64, 32, 10]"))
        seeds = [None if first is None else first + i for i in range(count)]
        self.trainers = [Trainer(sizes, seed=seed, **options) for seed in seeds]

    def fit(self, X: Any, y: Any, **options: Any) -> list[Outcome]:
        """Train all networks with `fit_many` and its options, and return their outcomes.

        Raises
        ------
        ValueError, TypeError
            For bad input.
        ImportError
            If you pass n_jobs and joblib is not installed.
        Exception
            The first network's error, after all networks are trained. It may come from `Trainer.fit`, such as a
            DivergenceError or a MemoryError, or from a callback or a metric. Use `fit_many` with
            ``ensemble.trainers`` to get the errors in the outcomes instead.
        """
        outcomes = fit_many(self.trainers, X, y, **options)
        for outcome in outcomes:
            if outcome.error:
                raise outcome.error
        return outcomes

    def predict_each(self, X: Any) -> Array:
        """Return aᴸ of every network for every row of X, (k, n, n_L)."""
        return np.stack([trainer.predict(X) for trainer in self.trainers])

    def predict(self, X: Any) -> Array:
        """Return the mean of the networks' outputs aᴸ for every row of X. Its shape is (n, n_L)."""
        return self.predict_each(X).mean(axis=0)

    def predict_std(self, X: Any) -> Array:
        """Return the standard deviation of the networks' aᴸ, (n, n_L): how much they disagree."""
        return self.predict_each(X).std(axis=0)

    def predict_classes(self, X: Any) -> npt.NDArray[np.int64]:
        """Return the class number of each row of X, as in `Trainer.predict_classes`, by the mean or by a vote."""
        if self.voting == "soft":
            first = self.trainers[0]
            return metric_functions.classes(self.predict(X), first._state.threshold, first._state.multi_label)
        votes = np.stack([trainer.predict_classes(X) for trainer in self.trainers])  # (k, n), or (k, n, n_L)
        counts = np.stack([(votes == number).sum(axis=0) for number in range(votes.max() + 1)])
        return counts.argmax(axis=0)

    def evaluate(self, X: Any, y: Any, metrics: Any, *, sample_weight: Any = None) -> dict[str, float]:
        """Return the metrics of the mean output by name; the arguments are as in `Trainer.evaluate`."""
        names, first = metric_functions.metric_names(metrics), self.trainers[0]
        data = first._intake.data("X", X, "y", y, names, sample_weight, scaled=False)
        return metrics_in_own_units(first._state, data, names, self.predict(data.X))

    def __len__(self) -> int:
        return len(self.trainers)

    def __repr__(self) -> str:
        return f"Ensemble of {len(self)}, voting={self.voting!r}: {self.trainers[0]!r}"
