"""The measurements of `fastbp bench`, as plain numbers and as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from ..results import aligned
from . import PEERS
from .peers import PREDICTION, TRAINING, missing
from .turns import Best, PeerError, Turns, ratio
from .workloads import Kind, Sizes, Workload, samples

NETWORKS: tuple[tuple[Sizes, int], ...] = (((4, 8, 3), 16), ((64, 32, 10), 32), ((784, 128, 10), 128))  # sizes, batch
QUICK = NETWORKS[1:2]
BATCH = 32  # for networks without a given batch size
CALLS = (1, 4096)  # rows in one call of predict
FIT_SECONDS = 0.08  # as in `workloads.samples`; keeps the rounds of the slowest peers short
ROUND_SECONDS, QUICK_SECONDS = 0.15, 0.05
KINDS: dict[Kind, list[str]] = {"training": list(TRAINING), "prediction": list(PREDICTION)}


def workloads(networks: Sequence[tuple[Sizes, int]]) -> list[Workload]:
    """Return the workloads for these networks: first training for all, then prediction for all."""
    trained = [Workload("training", sizes, batch, FIT_SECONDS) for sizes, batch in networks]
    return trained + [Workload("prediction", sizes, rows) for sizes, _ in networks for rows in CALLS]


def bytes_of(what: Sequence[Workload], dtype: str) -> int:
    """Return roughly how many bytes one peer's process needs for the largest: samples, weights, gradients."""
    most = 0
    for kind, sizes, rows, seconds, *_ in what:
        n = rows if kind == "prediction" else samples(sizes, rows, seconds)
        most = max(most, n * (sizes[0] + sizes[-1]) + rows * sum(sizes) + 3 * sum(map(prod, pairwise(sizes))))
    return most * np.dtype(dtype).itemsize


def measure(
    asked: Sequence[str],
    what: Sequence[Workload],
    threads: Sequence[int],
    rounds: int,
    dtype: str,
    seconds: float,
    notify: Callable[[str], Any],
) -> dict[str, Any]:
    """Measure fastbp and its peers in ns per sample, and list which peers are available.

    Parameters
    ----------
    asked : names from `PEERS`
    what : the workloads
    threads : all numbers of threads to try
    rounds, dtype, seconds : as in `Turns.measure`
    notify : called with a line for each workload when it begins

    Raises
    ------
    PeerError
        If fastbp itself can't do the work.
    """
    peers = ["fastbp", *(PEERS[name] for name in asked)]
    absent = {peer: packages for peer in peers if (packages := missing(peer))}
    found: dict[str, Any] = {kind: [] for kind in KINDS}
    with Turns([peer for peer in peers if peer not in absent], threads) as turns:
        for workload in what:
            notify(f"{workload.kind}, {_shown(workload)}\n")
            best = turns.measure(KINDS[workload.kind], workload, rounds, dtype, seconds)
            if "fastbp" not in best:
                raise PeerError(turns.failures["fastbp"])
            found[workload.kind].append(_record(workload, best))
    return found | {"versions": turns.versions, "not_installed": absent, "failed": turns.failures}


def _record(workload: Workload, best: Best) -> dict[str, Any]:
    return {
        "sizes": list(workload.sizes),
        "rows": workload.rows,
        "ns": {peer: ns for peer, (ns, _) in best.items()},
        "threads": {peer: threads for peer, (_, threads) in best.items()},
        "times_best_peer": ratio(best),
    }


def _shown(workload: Workload) -> str:
    per = "batch" if workload.kind == "training" else "rows"
    return f"{'-'.join(map(str, workload.sizes))}, {per} {workload.rows:,}"


def table(found: dict[str, Any]) -> str:
    """Return the figures as text, followed by the missing peers and the reasons."""
    tables = []
    for kind, known in KINDS.items():
        peers = [peer for peer in known if any(peer in record["ns"] for record in found[kind])]
        rows = [(f"{kind}, ns per sample", *peers, "× best peer")]
        for record in found[kind]:
            cells = [f"{record['ns'][peer]:,.0f}" if peer in record["ns"] else "–" for peer in peers]
            times = record["times_best_peer"]
            rows.append(
                (
                    _shown(Workload(kind, tuple(record["sizes"]), record["rows"])),
                    *cells,
                    f"{times:.2f}" if times else "–",
                )
            )
        tables.append("\n".join(aligned(rows)))
    tried = found["threads"]
    threads = f"each at its best of {' and '.join(map(str, tried))} threads"
    if len(tried) == 1:
        threads = f"on {tried[0]} thread{'s' * (tried[0] > 1)}"
    rounds = f"{found['rounds']} round{'s' * (found['rounds'] > 1)}"
    lines = [
        f"{found['cores']} × {found['processor']}; {found['dtype']}; {threads}; median of {rounds} in turns.",
        f"Python {found['python']}, {', '.join(f'{peer} {version}' for peer, version in found['versions'].items())}.",
    ]
    if "scikit-learn" in found["versions"]:
        lines.append("scikit-learn's outputs have no sigmoid.")
    lines += [f"{peer} is not installed ({', '.join(packages)})" for peer, packages in found["not_installed"].items()]
    lines += [f"{peer} failed: {reason}" for peer, reason in found["failed"].items()]
    return "\n\n".join([*tables, "\n".join(lines)])
