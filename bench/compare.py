"""Compare fastbp with other libraries, its peers, in one run: `make compare`.

It measures as `fastbp bench` does (fastbp/benchmark/turns.py), but the networks of the README, and each workload in new
processes. It prints the tables. With --write, it also writes them into README.md and draws docs/compare.png.

    python -m bench.compare [--only NAME …] [--peers NAME …] [--rounds 5] [--dtype float32] [--write]
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import sys
from pathlib import Path

from fastbp._cli.machine import processor
from fastbp.benchmark.peers import PREDICTION, TRAINING, missing
from fastbp.benchmark.turns import Best, Turns, ratio
from fastbp.benchmark.workloads import Workload

from .workloads import AWKWARD, GRID, NETWORKS, ROWS

ROOT = Path(__file__).parent.parent
THREADS = (1, 2)
ROUND_SECONDS = 0.25  # of one turn of one peer
MARKS = ("<!-- compare -->", "<!-- /compare -->")


def workload_of(name: str) -> Workload:
    """Return the workload of a row of the tables."""
    if name in PREDICTIONS:
        network, rows = name.split(", ")
        return Workload("prediction", NETWORKS[network], ROWS[rows])
    return Workload("training", *(GRID | AWKWARD)[name])


def asked(text: str) -> Workload:
    """Return the workload of a row, or of any sizes and batch, such as "64-32-10, 32"."""
    if text in GRID or text in AWKWARD or text in PREDICTIONS:
        return workload_of(text)
    sizes, batch = text.split(",")
    return Workload("training", tuple(map(int, sizes.split("-"))), int(batch))


def compare(name: str, names: list[str], rounds: int, dtype: str) -> tuple[Best, dict[str, str]]:
    """Measure ns per sample or row of each peer for one workload, in new processes. Return these and the versions."""
    with Turns(names, THREADS) as turns:
        best = turns.measure(names, workload_of(name), rounds, dtype, ROUND_SECONDS)
    for peer, reason in turns.failures.items():
        print(f"{peer}: {reason}", file=sys.stderr)
    return best, turns.versions


def table(results: dict[str, Best], names: list[str], head: str) -> list[str]:
    """Return a Markdown table: ns of each, fastbp's speed relative to its best peer, and fastbp's GFLOP/s."""
    lines = [
        f"| {head} | {' | '.join(names)} | × best peer | GFLOP/s |",
        "| --- |" + " ---: |" * (len(names) + 2),
    ]
    ratios = []
    for name, best in results.items():
        cells = [f"{best[peer][0]:,.0f}" if peer in best else "–" for peer in names]
        cells[0] = f"**{cells[0]}**"
        ratios.append(times := ratio(best) or math.nan)
        rate = workload_of(name).flop / best["fastbp"][0]
        lines.append(f"| {name} | {' | '.join(cells)} | **{times:.2f}** | {rate:.3g} |")
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    lines.append(f"| geometric mean |{' |' * len(names)} **{mean:.2f}** | |")
    return lines


def draw(results: dict[str, Best], names: list[str], path: Path) -> None:
    """Draw the time of each peer, divided by fastbp's, as a group of bars for each workload."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(11, 5), layout="constrained")
    peers = names[1:]
    for i, peer in enumerate(peers):
        at = [x + (i - len(peers) / 2 + 0.5) * 0.8 / len(peers) for x in range(len(results))]
        times = [best[peer][0] / best["fastbp"][0] if peer in best else math.nan for best in results.values()]
        ax.bar(at, [t - 1 for t in times], 0.8 / len(peers), bottom=1, label=peer)
    ax.axhline(1, color="black", linewidth=1)
    ax.annotate("fastbp", (1, 1), (3, 0), xycoords=ax.get_yaxis_transform(), textcoords="offset points", va="center")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylabel("time of a training step, × fastbp's")
    ax.set_xticks(range(len(results)), list(results), rotation=20, ha="right")
    ax.set_xlabel("layer sizes, batch")
    figure.legend(ncols=len(peers), loc="outside lower center")
    ax.margins(x=0.01)
    ax.set_title("Training time for the same work, each library with its faster of 1 and 2 threads")
    figure.savefig(path, dpi=110)


def write_between(lines: list[str], path: Path, marks: tuple[str, str]) -> None:
    """Replace what is between the two marks of a page by these lines."""
    before, rest = path.read_text().split(marks[0])
    _, after = rest.split(marks[1])
    path.write_text("\n".join([before + marks[0], "", *lines, "", marks[1]]) + after)


def run(workloads: list[str], names: list[str], options: argparse.Namespace) -> tuple[dict[str, Best], dict[str, str]]:
    """Compare for one workload after the other, and print the progress."""
    results, versions = {}, {}
    for name in workloads:
        results[name], found = compare(name, names, options.rounds, options.dtype)
        versions |= found
        row = ", ".join(f"{peer} {ns:,.0f} ({threads})" for peer, (ns, threads) in results[name].items())
        print(f"{name}: {row}", file=sys.stderr, flush=True)
    return results, versions


PREDICTIONS = [f"{network}, {rows}" for rows in ROWS for network in NETWORKS]
DEFAULT = [*GRID, *PREDICTIONS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = "; ".join([*GRID, *AWKWARD, *PREDICTIONS])
    parser.add_argument("--only", nargs="+", default=DEFAULT, metavar="NAME", help=f"workloads: {known}")
    everyone = list(dict.fromkeys([*TRAINING, *PREDICTION]))
    parser.add_argument("--peers", nargs="+", default=everyone, metavar="NAME", help=", ".join(everyone))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument(
        "--write", action="store_true", help="write the tables into README.md and the picture into docs/"
    )
    options = parser.parse_args()
    chosen = [peer for peer in everyone if peer in ("fastbp", *options.peers) and not missing(peer)]
    lines, versions = [], {}
    trained, trainers = {}, [peer for peer in TRAINING if peer in chosen]
    if workloads := [name for name in options.only if name not in PREDICTIONS]:
        trained, versions = run(workloads, trainers, options)
        lines += ["Training, ns per sample:", "", *table(trained, trainers, "sizes, batch"), ""]
    predictors = [peer for peer in PREDICTION if peer in chosen]
    if workloads := [name for name in options.only if name in PREDICTIONS]:
        predicted, found = run(workloads, predictors, options)
        versions |= found
        caption = f"`predict`, ns per row, called with one row and with {ROWS['many rows']:,} rows:"
        lines += [caption, "", *table(predicted, predictors, "sizes, rows"), ""]
    lines += [
        f"{options.dtype}; sigmoid, squared error, plain SGD; each library with 1 or 2 threads, whichever is faster; "
        f"median of {options.rounds} alternating rounds in one run; {os.cpu_count()} × {processor()}; "
        f"Python {platform.python_version()}; {', '.join(f'{peer} {v}' for peer, v in versions.items())}. "
        "GFLOP/s are fastbp's. scikit-learn's outputs have no sigmoid.",
    ]
    print("\n".join(lines))
    if options.write:
        if trained:
            draw(trained, trainers, ROOT / "docs" / "compare.png")
        write_between(lines, ROOT / "README.md", MARKS)


if __name__ == "__main__":
    main()
