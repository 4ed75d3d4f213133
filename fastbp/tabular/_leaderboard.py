"""The candidates of a search as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _messages
from ._fitted import Fitted, Row
from ._objectives import Objective

if TYPE_CHECKING:
    from pandas import DataFrame

ENSEMBLE = "ensemble"


def leaderboard(fitted: Fitted) -> DataFrame:
    """Return a row for each candidate and one for the ensemble, the best first.

    Candidates that ended after their first fold come last, because their loss is that of other rows.
    """
    import pandas

    objective = fitted.objective
    rows = [
        (ENSEMBLE, ENSEMBLE, fitted.loss, np.nan, sum(row.seconds for row in fitted.log), True),
        *((row.name, row.family, row.loss, row.weight, row.seconds, row.complete) for row in fitted.log),
    ]
    frame = pandas.DataFrame(rows, columns=["name", "family", "loss", "weight", "seconds", "complete"])
    frame = frame.sort_values(["complete", "loss"], ascending=[False, True], kind="stable", ignore_index=True)
    frame.insert(2, objective.metric, _metric(objective, frame["loss"]))
    return frame.drop(columns="loss")


def tell(objective: Objective, row: Row) -> None:
    """Print a line for a candidate."""
    ended = "" if row.complete else ", ended after the first fold"
    _messages.out(f"{row.name}  {objective.metric} {_metric(objective, row.loss):#.4g}  {row.seconds:.2f} s{ended}\n")


def _metric(objective: Objective, loss: Any) -> Any:
    """Return what people report."""
    return 1 - loss if objective.greater_is_better else loss
