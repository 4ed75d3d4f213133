"""Compare fastbp with other libraries, its peers, in one run: `make compare`.

It measures the networks of the README in the same way as `fastbp bench` (fastbp/benchmark/turns.py), and prints the
tables. With --write, it also writes them into README.md and draws docs/compare.png.

    python -m bench.compare [--only NAME …] [--peers NAME …] [--rounds 5] [--dtype float32 float64] [--write]
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import sys
from pathlib import Path
from time import perf_counter

from fastbp._cli.machine import processor
from fastbp.benchmark.peers import PREDICTION, TRAINING, can, missing
from fastbp.benchmark.turns import Best, Turns, ratio
from fastbp.benchmark.workloads import Workload

from .peak import peak
from .workloads import AWKWARD, FEW, GRID, NETWORKS, OTHER, ROWS

ROOT = Path(__file__).parent.parent
THREADS = (1, 2)
ROUND_SECONDS = 0.15  # of one turn of one peer
MARKS = ("<!-- compare -->", "<!-- /compare -->")
SUMMARY_MARKS = ("<!-- fastest -->", "<!-- /fastest -->")
RARE = ("FANN",)  # peers that can do only a few rows; a line below the table has their figures
PREDICTIONS = [f"{network}, {rows}" for rows in ROWS for network in NETWORKS]
TRAININGS = GRID | FEW | AWKWARD
DEFAULT = [*GRID, *FEW, *OTHER, *PREDICTIONS]


def asked(text: str) -> Workload:
    """Return the workload of a row of the tables, or of any sizes and batch, such as "64-32-10, 32"."""
    if text in OTHER:
        return Workload(*OTHER[text])
    if text in TRAININGS:
        return Workload("training", *TRAININGS[text])
    first, _, second = text.partition(", ")
    if text in PREDICTIONS:
        return Workload("prediction", NETWORKS[first], ROWS[second])
    return Workload("training", tuple(map(int, first.split("-"))), int(second))


def run(rows: list[str], turns: Turns, names: list[str], rounds: int, dtype: str) -> dict[str, Best]:
    """Return ns per sample or row of each peer for one workload after the other, and print the progress."""
    results = {}
    for row in rows:
        started = perf_counter()
        results[row] = best = turns.measure(names, asked(row), rounds, dtype, ROUND_SECONDS)
        figures = ", ".join(f"{peer} {ns:,.0f} ({threads})" for peer, (ns, threads) in best.items())
        times = f"; {ratio(best):.2f} times" if ratio(best) else ""
        print(f"{row}: {figures}{times}; {perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return results


def in_words(name: str) -> str:
    """Return the name of a row as it stands in a sentence."""
    return name.replace(", ", " with batch ", 1).replace("; ", ", ")


def mean(results: dict[str, Best]) -> float:
    """Return the geometric mean of the ratios to the best peer; NaN if a row has none."""
    return math.exp(statistics.mean(math.log(ratio(best) or math.nan) for best in results.values()))


def table(results: dict[str, Best], names: list[str], head: str, dtype: str = "float32") -> list[str]:
    """Return a Markdown table: ns of each, fastbp's speed relative to its best peer, its GFLOP/s and % of the peak."""
    shown = [peer for peer in names if peer not in RARE]
    lines = [
        f"| {head} | {' | '.join(shown)} | × best peer | GFLOP/s | % of peak |",
        "| --- |" + " ---: |" * (len(shown) + 3),
    ]
    for name, best in results.items():
        cells = [f"{best[peer][0]:,.0f}" if peer in best else "–" for peer in shown]
        cells[0] = f"**{cells[0]}**"
        ns, threads = best["fastbp"]
        rate = asked(name).flop / ns
        share = f"{rate / peak(dtype, threads):.0%}".removesuffix("%")
        lines.append(f"| {name} | {' | '.join(cells)} | **{ratio(best) or math.nan:.2f}** | {rate:.3g} | {share} |")
    lines.append(f"| geometric mean |{' |' * len(shown)} **{mean(results):.2f}** | | |")
    for peer in RARE:
        if found := [f"{best[peer][0]:,.0f} ns for {in_words(name)}" for name, best in results.items() if peer in best]:
            lines += ["", f"{peer} takes {', '.join(found)}."]
    return lines


def short_table(results: dict[str, Best], head: str) -> list[str]:
    """Return a Markdown table with ns of fastbp and of its best peer."""
    lines = [f"| {head} | fastbp | best peer | | × best peer |", "| --- | ---: | ---: | --- | ---: |"]
    for name, best in results.items():
        others = {peer: ns for peer, (ns, _) in best.items() if peer != "fastbp"}
        first = min(others, key=others.__getitem__, default="")
        cells = f"**{best['fastbp'][0]:,.0f}** | {others.get(first, math.nan):,.0f} | {first}"
        lines.append(f"| {name} | {cells} | **{ratio(best) or math.nan:.2f}** |")
    return [*lines, f"| geometric mean | | | | **{mean(results):.2f}** |"]


def summary(results: dict[str, Best]) -> list[str]:
    """Return the sentence about the training table at the beginning of the README."""
    ratios = {in_words(name): ratio(best) or math.nan for name, best in results.items()}
    most, least = max(ratios, key=ratios.__getitem__), min(ratios, key=ratios.__getitem__)
    return [
        f"On average over {len(ratios)} benchmarks, fastbp trains **{mean(results):.2f}×** as fast as the fastest of",
        "JAX, PyTorch, scikit-learn, NumPy and FANN",
        f"({ratios[most]:.2f}× for {most}, {ratios[least]:.2f}× for {least}).",
    ]


def draw(results: dict[str, Best], names: list[str], path: Path) -> None:
    """Draw the time of each peer, divided by fastbp's, as a group of bars for each workload."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, ax = pyplot.subplots(figsize=(14, 5.5), layout="constrained")
    peers = [peer for peer in names[1:] if peer not in RARE]
    for i, peer in enumerate(peers):
        at = [x + (i - len(peers) / 2 + 0.5) * 0.8 / len(peers) for x in range(len(results))]
        times = [best[peer][0] / best["fastbp"][0] if peer in best else math.nan for best in results.values()]
        ax.bar(at, [t - 1 for t in times], 0.8 / len(peers), bottom=1, label=peer)
    ax.axhline(1, color="black", linewidth=1)
    ax.annotate("fastbp", (1, 1), (3, 0), xycoords=ax.get_yaxis_transform(), textcoords="offset points", va="center")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_ylabel("time of a training step, × fastbp's")
    ax.set_xticks(range(len(results)), list(results), rotation=25, ha="right")
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


def measured(rows: list[str], names: list[str], rounds: int, dtype: str) -> tuple[dict[str, Best], dict[str, str]]:
    """Measure for some rows in one set of processes. Return the figures, and the versions of the libraries."""
    peers = [peer for peer in names if any(can(peer, asked(row)) for row in rows)]
    with Turns(peers, THREADS) as turns:
        results = run(rows, turns, peers, rounds, dtype)
    for peer, reason in turns.failures.items():
        print(f"{peer}: {reason}", file=sys.stderr)
    return results, turns.versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = "; ".join([*TRAININGS, *OTHER, *PREDICTIONS])
    parser.add_argument("--only", nargs="+", default=DEFAULT, metavar="NAME", help=f"workloads: {known}")
    everyone = list(dict.fromkeys([*TRAINING, *PREDICTION]))
    parser.add_argument("--peers", nargs="+", default=everyone, metavar="NAME", help=", ".join(everyone))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", nargs="+", default=["float32", "float64"], choices=["float32", "float64"])
    parser.add_argument(
        "--write", action="store_true", help="write the tables into README.md and the picture into docs/"
    )
    options = parser.parse_args()
    chosen = [peer for peer in everyone if peer in ("fastbp", *options.peers) and not missing(peer)]
    trainings = [row for row in options.only if row not in PREDICTIONS]
    predictions = [row for row in options.only if row in PREDICTIONS]
    many = f"{ROWS['many rows']:,}"
    lines, versions = [], {}
    for dtype in options.dtype:
        results, found = measured([*trainings, *predictions], chosen, options.rounds, dtype)
        versions |= found
        trained, predicted = ({row: results[row] for row in rows} for rows in (trainings, predictions))
        long = dtype == options.dtype[0]  # the other one has a table of few columns
        if trained:
            names = [peer for peer in TRAINING if peer in chosen]
            head = "sizes, batch"
            lines += [f"Training in {dtype}, ns per sample:", ""]
            lines += [*(table(trained, names, head, dtype) if long else short_table(trained, head)), ""]
            if long and options.write:
                draw(trained, names, ROOT / "docs" / "compare.png")
                write_between(summary(trained), ROOT / "README.md", SUMMARY_MARKS)
        if predicted:
            names = [peer for peer in PREDICTION if peer in chosen]
            lines += [f"`predict` in {dtype}, ns per row, called with one row and with {many} rows:", ""]
            head = "sizes, rows"
            lines += [*(table(predicted, names, head, dtype) if long else short_table(predicted, head)), ""]
    lines += [
        "Sigmoid, squared error and plain SGD unless the row says otherwise; each library with 1 or 2 threads, "
        f"whichever is faster; median of {options.rounds} alternating rounds in one run; "
        f"{os.cpu_count()} × {processor()}; "
        f"Python {platform.python_version()}; {', '.join(f'{peer} {v}' for peer, v in versions.items())}. "
        "GFLOP/s are fastbp's; the peak is that of multiply-adds in registers on as many cores. "
        "scikit-learn's outputs have no sigmoid. "
        "SimpleChains has published 16.4 ns a sample on four cores for the row with 10,000 samples.",
    ]
    print("\n".join(lines))
    if options.write:
        write_between(lines, ROOT / "README.md", MARKS)


if __name__ == "__main__":
    main()
