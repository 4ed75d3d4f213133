"""The commands `fastbp bench` and `info`. Each takes parsed arguments and returns its results, by name."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from .. import __version__, _checks, _messages


def bench(arguments: Namespace) -> dict[str, Any]:
    """Time training and prediction on this machine, compared with other installed libraries."""
    import platform

    from .._engine.team import usable_cores
    from ..benchmark import report
    from ..progress import interactive
    from .machine import processor

    _checks.whole("--rounds", arguments.rounds, minimum=1)
    networks = report.QUICK if arguments.quick else report.NETWORKS
    if arguments.sizes:
        networks = tuple((sizes, report.BATCH) for sizes in arguments.sizes)
    if arguments.batch is not None:
        _checks.whole("--batch", arguments.batch, minimum=1)
        networks = tuple((sizes, arguments.batch) for sizes, _ in networks)
    threads = arguments.threads or tuple(dict.fromkeys((1, usable_cores())))
    seconds = report.QUICK_SECONDS if arguments.quick else report.ROUND_SECONDS
    what = report.workloads(networks)
    peers = tuple(dict.fromkeys(arguments.peers))
    needed = report.bytes_of(what, arguments.dtype) * (1 + len(peers)) * len(threads)
    _checks.fits("--sizes", "networks and samples for all peers", needed)
    found: dict[str, Any] = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "dtype": arguments.dtype,
        "threads": list(threads),
        "rounds": arguments.rounds,
    }
    told = _messages.err if interactive() and not arguments.json else lambda _: None
    found |= report.measure(peers, what, threads, arguments.rounds, arguments.dtype, seconds, told)
    if arguments.json:
        return found
    _messages.result(report.table(found) + "\n")
    return {}


def info(arguments: Namespace) -> dict[str, Any]:
    """Show what a model is, or without a model, the versions, the processor's level and the files with kernels."""
    if arguments.model:
        from .information import about_model

        return about_model(arguments.model)
    from .machine import facts

    return {"fastbp": __version__} | facts()
