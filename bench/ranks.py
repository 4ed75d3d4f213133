"""Mean ranks of models over tables, and the difference between two that chance explains (Demšar, 2006)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIGNIFICANCE = 0.05


def ranks(losses: np.ndarray) -> np.ndarray:
    """Return the mean rank of each model. `losses` is (tables, models); 1 is the best, equals share the mean rank."""
    from scipy.stats import rankdata

    return rankdata(losses, axis=1).mean(0)


def critical_difference(n_models: int, n_tables: int) -> float:
    """Return Nemenyi's critical difference: mean ranks that are closer don't differ with a significance of 5 %."""
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - SIGNIFICANCE, n_models, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_models * (n_models + 1) / (6 * n_tables)))


def chance(losses: np.ndarray) -> float:
    """Return how probable such ranks are if no model is better than another: Friedman's test."""
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*losses.T).pvalue)


def alike(mean_ranks: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """Return the groups of models that don't differ: first and last place in the order of the ranks."""
    order = np.sort(mean_ranks)
    groups: list[tuple[int, int]] = []
    for first, rank in enumerate(order):
        last = int(np.flatnonzero(order <= rank + difference)[-1])
        if last > first and not any(last <= end for _, end in groups):  # a part of an earlier group says nothing more
            groups.append((first, last))
    return groups


def draw(names: list[str], mean_ranks: np.ndarray, difference: float, title: str, path: Path) -> None:
    """Draw a critical-difference plot: models on a line of ranks, bars below it join those that don't differ."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "fastbp", "svg.fonttype": "none"})  # the same bytes for the same ranks
    from matplotlib import pyplot

    n, order = len(names), np.argsort(mean_ranks, kind="stable")
    groups = alike(mean_ranks, difference)
    half, bottom = (n + 1) // 2, 0.6 + 0.28 * len(groups)
    figure, ax = pyplot.subplots(figsize=(9.5, 0.9 + 0.3 * (bottom / 0.3 + half)), layout="constrained")
    ax.set_xlim(-1.6, n + 2.6)
    ax.set_ylim(-(bottom + 0.35 * half), 1.25)
    ax.axis("off")
    ax.set_title(title, fontsize=10)
    ax.plot([1, n], [0, 0], color="black", linewidth=1)
    for rank in range(1, n + 1):
        ax.plot([rank, rank], [0, 0.12], color="black", linewidth=1)
        ax.text(rank, 0.2, str(rank), ha="center", va="bottom", fontsize=9)
    ax.plot([1, 1 + difference], [0.85, 0.85], color="black", linewidth=2)
    ax.text(1 + difference / 2, 0.92, f"critical difference {difference:.2f}", ha="center", va="bottom", fontsize=9)
    for place, model in enumerate(order):
        left = place < half
        level = -(bottom + 0.35 * (place if left else n - 1 - place))
        end = 0.8 if left else n + 0.2
        rank, ours = mean_ranks[model], names[model].startswith("fastbp")
        style = {"color": "#d9480f" if ours else "black", "linewidth": 1.5 if ours else 0.8}
        ax.plot([rank, rank, end], [0, level, level], **style)
        text = f"{names[model]}  {rank:.2f}" if left else f"{rank:.2f}  {names[model]}"
        at = end - 0.1 if left else end + 0.1
        weight = "bold" if ours else "normal"
        ax.text(at, level, text, ha="right" if left else "left", va="center", fontsize=9, weight=weight)
    ordered = mean_ranks[order]
    for i, (first, last) in enumerate(groups):
        y = -0.3 - 0.28 * i
        ax.plot([ordered[first] - 0.05, ordered[last] + 0.05], [y, y], color="#5c7cfa", linewidth=4)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
