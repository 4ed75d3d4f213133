"""fastbp beside its peers, in one run: `make compare`.

Every peer at every number of threads lives in a process of its own, where that number is set before anything starts.
The processes take turns, a round each, round after round, while the others sleep; a figure is the median of the rounds,
at the better number of threads, for fastbp as for its peers. Compilation and first calls are not counted. The tables go
to the terminal; with --write into README.md, and as a picture into docs/compare.png.

    python -m bench.compare [--only NAME …] [--peers NAME …] [--rounds 5] [--dtype float32] [--write]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from .peers import EPOCHS, PACKAGES, PREDICTION, TRAINING
from .workloads import AWKWARD, GRID, NETWORKS, ROWS, multiplications, problem, uniform

ROOT = Path(__file__).parent.parent
THREADS = (1, 2)
ROUND_SECONDS = 0.25  # that one peer computes before the next has its turn
REST_SECONDS = 0.05  # between two turns: threads of the one before may still spin
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")  # NPROC is what XLA reads
MARKS = ("<!-- compare -->", "<!-- /compare -->")

Best = dict[str, tuple[float, int]]  # peer → ns, threads


def training_work(peer: str, threads: int, name: str, dtype: str) -> tuple[Callable[[], Any], int]:
    """A call, and how many samples it trains on."""
    sizes, batch = (GRID | AWKWARD)[name]
    X, y = problem(sizes, batch, dtype)
    return TRAINING[peer](sizes, batch, X, y, threads).run, EPOCHS * len(X)


def prediction_work(peer: str, threads: int, name: str, dtype: str) -> tuple[Callable[[], Any], int]:
    """A call, and how many rows it predicts."""
    network, rows = name.split(", ")
    sizes, n = NETWORKS[network], ROWS[rows]
    predict, X = PREDICTION[peer](sizes, threads, dtype), uniform(n, sizes[0], dtype)
    return lambda: predict(X), n


def seconds_of(call: Callable[[], Any], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - started


def serve(peer: str, threads: int, name: str, dtype: str) -> None:
    """The process of one peer: builds, warms up, then for each line that comes in times a round and answers."""
    work = prediction_work if name in PREDICTIONS else training_work
    call, samples = work(peer, threads, name, dtype)
    call()
    times, seconds = 1, seconds_of(call, 1)
    while seconds < ROUND_SECONDS / 4:
        times *= 2
        seconds = seconds_of(call, times)
    times = max(1, round(times * ROUND_SECONDS / seconds))
    print(json.dumps(importlib.import_module(PACKAGES[peer][0]).__version__), flush=True)
    for _ in sys.stdin:
        print(json.dumps(seconds_of(call, times) / (times * samples) * 1e9), flush=True)


class Peer:
    """A process that serves, seen from here."""

    def __init__(self, peer: str, threads: int, name: str, dtype: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.compare", "--serve", peer, str(threads), name, dtype],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(LIMITS, str(threads)),
            cwd=ROOT,
        )
        self.figures: list[float] = []
        self.version = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"ended with exit code {self.process.wait()}")
        return json.loads(line)

    def round(self) -> None:
        """Time one round."""
        assert self.process.stdin is not None
        time.sleep(REST_SECONDS)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.figures.append(self._answer())

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(name: str, names: list[str], rounds: int, dtype: str) -> tuple[Best, dict[str, str]]:
    """What each peer takes for one workload, ns a sample or row; and the versions."""
    peers: dict[tuple[str, int], Peer] = {}
    try:
        for peer in names:
            for threads in THREADS:
                try:
                    peers[peer, threads] = Peer(peer, threads, name, dtype)
                except RuntimeError as error:
                    print(f"{peer}, {threads} threads: {error}", file=sys.stderr)
        for _ in range(rounds):
            for server in peers.values():
                server.round()
    finally:
        for server in peers.values():
            server.end()
    best: Best = {}
    for (peer, threads), server in peers.items():
        figure = statistics.median(server.figures)
        if peer not in best or figure < best[peer][0]:
            best[peer] = figure, threads
    return best, {peer: server.version for (peer, _), server in peers.items()}


def table(results: dict[str, Best], names: list[str], head: str, flop: Callable[[str], int]) -> list[str]:
    """Lines of Markdown: ns, how many times as fast as the best peer, and fastbp's GFLOP/s."""
    lines = [
        f"| {head} | {' | '.join(names)} | × best peer | GFLOP/s |",
        "| --- |" + " ---: |" * (len(names) + 2),
    ]
    ratios = []
    for name, best in results.items():
        cells = [f"{best[peer][0]:,.0f}" if peer in best else "–" for peer in names]
        cells[0] = f"**{cells[0]}**"
        ratios.append(ratio := min((best[p][0] for p in best if p != "fastbp"), default=math.nan) / best["fastbp"][0])
        lines.append(f"| {name} | {' | '.join(cells)} | **{ratio:.2f}** | {flop(name) / best['fastbp'][0]:.3g} |")
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    lines.append(f"| geometric mean |{' |' * len(names)} **{mean:.2f}** | |")
    return lines


def training_flop(name: str) -> int:
    return 2 * multiplications((GRID | AWKWARD)[name][0])


def prediction_flop(name: str) -> int:
    return 2 * sum(n * n_next for n, n_next in pairwise(NETWORKS[name.split(", ", maxsplit=1)[0]]))


def draw(results: dict[str, Best], names: list[str], path: Path) -> None:
    """How many times fastbp's time each peer takes, a group of bars for each workload."""
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
    ax.set_title("Training, the same work, each at its better of 1 and 2 threads")
    figure.savefig(path, dpi=110)


def installed(peer: str) -> bool:
    return all(importlib.util.find_spec(package) for package in PACKAGES[peer])


def cpu() -> str:
    """The processor's name as its maker writes it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def write_readme(lines: list[str], path: Path) -> None:
    """Put the lines between the marks."""
    before, rest = path.read_text().split(MARKS[0])
    _, after = rest.split(MARKS[1])
    path.write_text("\n".join([before + MARKS[0], "", *lines, "", MARKS[1]]) + after)


def run(workloads: list[str], names: list[str], options: argparse.Namespace) -> tuple[dict[str, Best], dict[str, str]]:
    """Compare for one workload after the other, and say so."""
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
    parser.add_argument("--write", action="store_true", help="the tables into README.md, the picture into docs/")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        peer, threads, name, dtype = options.serve
        serve(peer, int(threads), name, dtype)
        return

    chosen = [peer for peer in everyone if peer in ("fastbp", *options.peers) and installed(peer)]
    lines, versions = [], {}
    trained, trainers = {}, [peer for peer in TRAINING if peer in chosen]
    if workloads := [name for name in options.only if name not in PREDICTIONS]:
        trained, versions = run(workloads, trainers, options)
        lines += ["Training, ns a sample:", "", *table(trained, trainers, "sizes, batch", training_flop), ""]
    predictors = [peer for peer in PREDICTION if peer in chosen]
    if workloads := [name for name in options.only if name in PREDICTIONS]:
        predicted, found = run(workloads, predictors, options)
        versions |= found
        caption = f"`predict`, ns a row, called with one row and with {ROWS['many rows']:,}:"
        lines += [caption, "", *table(predicted, predictors, "sizes, rows", prediction_flop), ""]
    lines += [
        f"{options.dtype}; sigmoid, squared error, plain SGD; each at its better of 1 and 2 threads; median of "
        f"{options.rounds} alternating rounds in one run; {os.cpu_count()} × {cpu()}; "
        f"Python {platform.python_version()}; {', '.join(f'{peer} {v}' for peer, v in versions.items())}. "
        "GFLOP/s are fastbp's. scikit-learn's outputs have no sigmoid.",
    ]
    print("\n".join(lines))
    if options.write:
        if trained:
            draw(trained, trainers, ROOT / "docs" / "compare.png")
            lines = ["![Training time of each peer, times that of fastbp](docs/compare.png)", "", *lines]
        write_readme(lines, ROOT / "README.md")


if __name__ == "__main__":
    main()
