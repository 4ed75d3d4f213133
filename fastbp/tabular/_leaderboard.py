"""The candidates of a search as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

    from ._fitted import Fitted

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
    metric = 1 - frame["loss"] if objective.greater_is_better else frame["loss"]
    frame.insert(2, objective.metric, metric)
    return frame.drop(columns="loss")
