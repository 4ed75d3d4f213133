"""fastbp beside its peers, in one run: `make compare`.

Every peer at every number of threads lives in a process of its own, where that number is set before anything
starts. The processes take turns, a round of fits each, round after round, while the others sleep; a peer's figure is
the median of its rounds at the better of its numbers of threads. Compilation and first calls are not counted. The table goes to the
terminal, into README.md, and as a picture into docs/compare.png.

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
from pathlib import Path

from .peers import EPOCHS, PACKAGES, PEERS
from .workloads import AWKWARD, GRID, multiplications, problem

ROOT = Path(__file__).parent.parent
THREADS = (1, 2)
ROUND_SECONDS = 0.25  # that one peer computes before the next has its turn
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
MARKS = ("<!-- compare -->", "<!-- /compare -->")


def serve(peer: str, threads: int, name: str, dtype: str) -> None:
    """The process of one peer: builds, warms up, then for each line that comes in times a round and answers."""
    sizes, batch = (GRID | AWKWARD)[name]
    X, y = problem(sizes, batch, dtype)
    run = PEERS[peer](sizes, batch, X, y, threads)
    run()
    fits, seconds = 1, 0.0
    while seconds < ROUND_SECONDS / 4:
        fits *= 2 if seconds else 1
        started = time.perf_counter()
        for _ in range(fits):
            run()
        seconds = time.perf_counter() - started
    fits = max(1, round(fits * ROUND_SECONDS / seconds))
    version = importlib.import_module(PACKAGES[peer]).__version__
    print(json.dumps(version), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(fits):
            run()
        seconds = time.perf_counter() - started
        print(json.dumps(seconds / (fits * EPOCHS * len(X)) * 1e9), flush=True)


class Peer:
    """A process that serves, seen from here."""

    def __init__(self, peer: str, threads: int, name: str, dtype: str) -> None:
        environment = os.environ | dict.fromkeys(LIMITS, str(threads or 1))
        if threads == 1 and peer == "JAX scan":
            flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            environment |= {"XLA_FLAGS": flags, "NPROC": "1"}
        arguments = ["--serve", peer, str(threads), name, dtype]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.compare", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self.figures: list[float] = []
        self.version = self._answer()

    def _answer(self):
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a peer ended with exit code {self.process.wait()}")
        return json.loads(line)

    def round(self) -> None:
        """Time one round."""
        assert self.process.stdin is not None
        time.sleep(0.05)  # threads of the one before may still spin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.figures.append(self._answer())

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(
    name: str, names: list[str], rounds: int, dtype: str
) -> tuple[dict[str, tuple[float, int]], dict[str, str]]:
    """ns per sample and number of threads of each peer for one workload; and the versions."""
    peers: dict[tuple[str, int], Peer] = {}
    for peer in names:
        for threads in (0,) if peer == "fastbp" else THREADS:  # 0: fastbp chooses
            try:
                peers[peer, threads] = Peer(peer, threads, name, dtype)
            except RuntimeError as error:
                print(f"{peer}, {threads} threads: {error}", file=sys.stderr)
    try:
        for _ in range(rounds):
            for peer in peers.values():
                peer.round()
    finally:
        for peer in peers.values():
            peer.end()
    best: dict[str, tuple[float, int]] = {}
    for (peer_name, threads), peer in peers.items():
        figure = statistics.median(peer.figures)
        if peer_name not in best or figure < best[peer_name][0]:
            best[peer_name] = (figure, threads)
    return best, {peer_name: peer.version for (peer_name, _), peer in peers.items()}


def table(results: dict[str, dict[str, tuple[float, int]]], names: list[str]) -> list[str]:
    """Lines of Markdown: ns per sample, and how many times as fast as the best peer."""
    lines = [
        "| sizes, batch | " + " | ".join(names) + " | × best peer | GFLOP/s |",
        "| --- |" + " ---: |" * (len(names) + 2),
    ]
    ratios = []
    for name, best in results.items():
        cells = [f"{best[peer][0]:,.0f}" if peer in best else "–" for peer in names]
        cells[0] = f"**{cells[0]}**"
        ratios.append(min(best[peer][0] for peer in best if peer != "fastbp") / best["fastbp"][0])
        sizes, _ = (GRID | AWKWARD)[name]
        rate = 2 * multiplications(sizes) / best["fastbp"][0]
        lines.append(f"| {name} | {' | '.join(cells)} | **{ratios[-1]:.2f}** | {rate:.0f} |")
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    lines.append(f"| geometric mean |{' |' * len(names)} **{mean:.2f}** | |")
    return lines


def draw(results: dict[str, dict[str, tuple[float, int]]], names: list[str], path: Path) -> None:
    """How many times fastbp's time each peer takes, a group of bars for each workload."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    _, ax = pyplot.subplots(figsize=(11, 5), layout="constrained")
    peers = names[1:]
    for i, peer in enumerate(peers):
        at = [x + (i - len(peers) / 2 + 0.5) * 0.8 / len(peers) for x in range(len(results))]
        heights = [best[peer][0] / best["fastbp"][0] if peer in best else math.nan for best in results.values()]
        ax.bar(at, heights, 0.8 / len(peers), label=peer)
    ax.axhline(1, color="black", linewidth=1)
    ax.annotate("fastbp", (len(results) - 0.5, 1), (-4, 3), textcoords="offset points", ha="right")
    ax.set_yscale("log")
    ax.set_ylabel("time of a training step, × fastbp's")
    ax.set_xticks(range(len(results)), list(results), rotation=20, ha="right")
    ax.set_xlabel("layer sizes, batch")
    ax.legend(ncols=len(peers), loc="upper right")
    ax.margins(x=0.01)
    ax.set_title("Training, the same work, each peer at its better of 1 and 2 threads")
    pyplot.savefig(path, dpi=110)


def installed(peer: str) -> bool:
    return importlib.util.find_spec(PACKAGES[peer]) is not None


def cpu() -> str:
    """The processor's name as its maker writes it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def write_readme(lines: list[str]) -> None:
    """Put the lines between the marks of README.md."""
    path = ROOT / "README.md"
    before, rest = path.read_text().split(MARKS[0])
    _, after = rest.split(MARKS[1])
    path.write_text("\n".join([before + MARKS[0], "", *lines, "", MARKS[1]]) + after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", default=list(GRID), metavar="NAME", help="workloads: " + "; ".join(GRID | AWKWARD)
    )
    parser.add_argument("--peers", nargs="+", default=list(PEERS), metavar="NAME", help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--write", action="store_true", help="the table into README.md, the picture into docs/")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        peer, threads, name, dtype = options.serve
        serve(peer, int(threads), name, dtype)
        return
    names = [peer for peer in PEERS if peer in ("fastbp", *options.peers) and installed(peer)]
    results, versions = {}, {}
    for name in options.only:
        results[name], found = compare(name, names, options.rounds, options.dtype)
        versions |= found
        row = ", ".join(f"{peer} {ns:,.0f} ({threads or 'auto'})" for peer, (ns, threads) in results[name].items())
        print(f"{name}: {row}", file=sys.stderr, flush=True)
    lines = table(results, names)
    lines += [
        "",
        f"ns per sample, {options.dtype}; median of {options.rounds} rounds in one run; {os.cpu_count()} × {cpu()}; "
        f"Python {platform.python_version()}; " + ", ".join(f"{peer} {v}" for peer, v in versions.items()) + ".",
    ]
    print("\n".join(lines))
    if options.write:
        write_readme(lines)
        draw(results, names, ROOT / "docs" / "compare.png")


if __name__ == "__main__":
    main()
