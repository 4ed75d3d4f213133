"""Peers that run in turn: each has one process per number of threads, because that is set when a process starts.

First, all processes build a workload at the same time, and run it once, so that compilation isn't counted. Then they
run one round each, round after round, while the others sleep. A figure is the median of the rounds with the best
number of threads, for fastbp and its peers alike. A peer that is far slower than the others, and might take minutes,
runs one short round only.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from .peers import SETTINGS, can
from .workloads import Workload

REST_SECONDS = 0.03  # between two turns, because threads of the last one may still spin
FAR = 4  # a peer that takes so many times as long as the fastest has only one round
HOPELESS = 25  # torch.compile is left out if PyTorch takes so many times as long: it is only 2 or 3 times as fast
WORSE = 1.5  # a process that takes so many times as long as another one of the same library has only one round
GLANCE_SECONDS = 0.02  # of the first round, which tells who is far behind
END_SECONDS = 1.0  # the longest wait for the processes to end
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")  # NPROC is what XLA reads
# Uses the path of this process, so that the same packages are found wherever it was started
START = (
    "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep); from fastbp.benchmark.server import main; main()"
)

EAGER, COMPILED = "PyTorch eager", "torch.compile"
NO_SETTINGS: tuple[dict[str, str], ...] = ({},)

Best = dict[str, tuple[float, int]]  # peer → ns a sample, threads
Key = tuple[str, int, int]  # of a process: peer, threads, which of the peer's settings


class PeerError(RuntimeError):
    """A peer failed to do its work. The message is the peer's own."""


class Server:
    """A server process, seen from the parent."""

    def __init__(self, peer: str, threads: int, settings: dict[str, str]) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 — `end` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, os.pathsep.join(sys.path), peer, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env=os.environ | dict.fromkeys(LIMITS, str(threads)) | settings,
            start_new_session=True,  # Ctrl-C reaches only the parent, which ends the others
        )

    def answer(self) -> Any:
        """Return the next answer.

        Raises
        ------
        PeerError
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._complaints.seek(0)
            said = self._complaints.read().decode(errors="replace").strip().splitlines()
            raise PeerError(said[-1] if said else f"ended with exit code {code}")
        answer = json.loads(line)
        if isinstance(answer, dict):
            raise PeerError(" ".join(answer["error"].split()))
        return answer

    def ask(self, question: Any) -> None:
        """Send a request."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the process has ended; `answer` reports why
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()

    def release(self) -> None:
        """Close the input, because there are no more requests."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def end(self, seconds: float) -> None:
        """Wait so many seconds for the process to end, then kill it."""
        assert self._process.stdout is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._complaints.close()


class Turns:
    """The processes of some peers, in a with statement.

    Parameters
    ----------
    peers : names from `peers.PACKAGES`
    threads : all numbers of threads to try for each

    Attributes
    ----------
    versions : peer → version of its library
    failures : peer → its message, if it couldn't do its work
    """

    def __init__(self, peers: Sequence[str], threads: Sequence[int]) -> None:
        self.versions: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self._keys = [
            (peer, count, which)
            for peer in peers
            for count in threads
            for which in range(len(SETTINGS.get(peer, NO_SETTINGS)))
        ]
        self._servers: dict[Key, Server] = {}

    def __enter__(self) -> Turns:
        try:
            for key in self._keys:
                peer, count, which = key
                self._servers[key] = Server(peer, count, SETTINGS.get(peer, NO_SETTINGS)[which])
            for key in self._keys:  # they have imported their libraries at the same time
                version = self._answer(key)
                if version is not None:
                    self.versions[key[0]] = version
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        ends = time.monotonic() + END_SECONDS
        for server in self._servers.values():
            server.release()
        for server in self._servers.values():
            server.end(max(0.0, ends - time.monotonic()))

    def _answer(self, key: Key) -> Any:
        """Return the answer of a process, or None if it has failed, and then end it."""
        try:
            return self._servers[key].answer()
        except PeerError as error:
            self.failures[key[0]] = str(error)
            server = self._servers.pop(key)
            server.release()
            server.end(0.0)
            return None

    def _build(self, keys: Sequence[Key], workload: Workload, dtype: str) -> dict[Key, float]:
        """Let these processes build a workload at the same time. Return ns per sample in a short round of each."""
        for key in keys:
            self._servers[key].ask([workload, dtype])
        for key in keys:
            self._answer(key)
        return {key: ns for key in keys if key in self._servers and (ns := self._round(key, GLANCE_SECONDS))}

    def _round(self, key: Key, seconds: float) -> float | None:
        """Return ns per sample in a round of one process while the others sleep; None if it fails."""
        self._servers[key].ask(seconds)
        ns: float | None = self._answer(key)
        time.sleep(REST_SECONDS)
        return ns

    def measure(self, peers: Sequence[str], workload: Workload, rounds: int, dtype: str, seconds: float) -> Best:
        """Measure how long each of these peers takes for a workload, with its best number of threads.

        Parameters
        ----------
        peers : names; peers that can't do the work are left out
        workload : Workload
        rounds : number of rounds for each, unless it takes FAR times as long as the fastest peer
        dtype : "float32" or "float64"
        seconds : approximate time of a round
        """
        keys = [key for key in self._servers if key[0] in peers and can(key[0], workload)]
        late = [key for key in keys if key[0] == COMPILED]
        glances = self._build([key for key in keys if key not in late], workload, dtype)
        eager = min((ns for key, ns in glances.items() if key[0] == EAGER), default=0.0)
        if eager <= HOPELESS * _fastest(glances):
            glances |= self._build(late, workload, dtype)
        in_turn = _in_turn(glances)
        figures = {key: [] if key in in_turn else [ns] for key, ns in glances.items()}
        for _ in range(rounds):
            for key in in_turn:
                if key in self._servers and (ns := self._round(key, seconds)):
                    figures[key].append(ns)
        best: Best = {}
        for (peer, threads, _), values in figures.items():
            figure = statistics.median(values) if values else math.inf
            if values and (peer not in best or figure < best[peer][0]):
                best[peer] = figure, threads
        return best


def _fastest(figures: dict[Key, float]) -> float:
    """Return the time of the fastest peer."""
    return min((ns for (peer, _, _), ns in figures.items() if peer != "fastbp"), default=math.inf)


def _in_turn(figures: dict[Key, float]) -> list[Key]:
    """Return who has more than one round: fastbp, and the processes that may become a library's best figure."""
    best = {peer: min(ns for key, ns in figures.items() if key[0] == peer) for peer, _, _ in figures}
    limit = FAR * _fastest(figures)
    return [key for key, ns in figures.items() if ns <= WORSE * best[key[0]] and (ns <= limit or key[0] == "fastbp")]


def ratio(best: Best) -> float | None:
    """Return how many times as fast as the best peer fastbp is; None without a peer."""
    others = [ns for peer, (ns, _) in best.items() if peer != "fastbp"]
    return min(others) / best["fastbp"][0] if others and "fastbp" in best else None
