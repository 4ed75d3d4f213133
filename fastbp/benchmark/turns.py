"""Peers that run in turn: each has one process per number of threads, because that is set when a process starts.

The processes run one round each, round after round, while the others sleep. A figure is the median of the rounds with
the best number of threads, for fastbp and its peers alike. Compilation and first calls are not counted. A peer that is
far slower than the others, and might take minutes, runs one round only.
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

from .workloads import Workload

REST_SECONDS = 0.05  # between two turns, because threads of the last one may still spin
FAR = 10  # a peer that takes so many times as long as the fastest has only one round
END_SECONDS = 1.0  # the longest wait for the processes to end
LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")  # NPROC is what XLA reads
# Uses the path of this process, so that the same packages are found wherever it was started
START = (
    "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep); from fastbp.benchmark.server import main; main()"
)

Best = dict[str, tuple[float, int]]  # peer → ns a sample, threads


class PeerError(RuntimeError):
    """A peer failed to do its work. The message is the peer's own."""


class Server:
    """A server process, seen from the parent."""

    def __init__(self, peer: str, threads: int) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 — `end` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-c", START, os.pathsep.join(sys.path), peer, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            env=os.environ | dict.fromkeys(LIMITS, str(threads)),
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

    def ask(self, question: Any) -> Any:
        """Send a request and return the answer.

        Raises
        ------
        PeerError
        """
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the process has ended; `answer` reports why
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return self.answer()

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
        self._keys = [(peer, count) for peer in peers for count in threads]
        self._servers: dict[tuple[str, int], Server] = {}

    def __enter__(self) -> Turns:
        try:
            for key in self._keys:
                self._servers[key] = Server(*key)
            for key, server in list(self._servers.items()):  # they have imported their libraries at the same time
                try:
                    self.versions[key[0]] = server.answer()
                except PeerError as error:
                    self._drop(key, error)
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

    def _drop(self, key: tuple[str, int], error: PeerError) -> None:
        self.failures[key[0]] = str(error)
        server = self._servers.pop(key)
        server.release()
        server.end(0.0)

    def measure(self, peers: Sequence[str], workload: Workload, rounds: int, dtype: str, seconds: float) -> Best:
        """Measure how long each of these peers takes for a workload, with its best number of threads.

        Parameters
        ----------
        peers : the peers that can do it
        workload : Workload
        rounds : number of rounds for each, unless it takes FAR times as long as the fastest peer
        dtype : "float32" or "float64"
        seconds : approximate time of a round
        """
        figures: dict[tuple[str, int], list[float]] = {key: [] for key in self._servers if key[0] in peers}
        fastest = math.inf
        for question in [[workload, dtype, seconds]] + [None] * rounds:
            for key, measured in list(figures.items()):
                if measured and min(measured) > FAR * fastest:
                    continue
                try:
                    answer = self._servers[key].ask(question)
                except PeerError as error:
                    self._drop(key, error)
                    del figures[key]
                    continue
                if question is None:
                    measured.append(answer)
                    time.sleep(REST_SECONDS)
            peers_ns = (ns for (peer, _), measured in figures.items() if peer != "fastbp" for ns in measured)
            fastest = min(peers_ns, default=math.inf)
        best: Best = {}
        for (peer, threads), values in figures.items():
            figure = statistics.median(values)
            if peer not in best or figure < best[peer][0]:
                best[peer] = figure, threads
        return best


def ratio(best: Best) -> float | None:
    """Return how many times as fast as the best peer fastbp is; None without a peer."""
    others = [ns for peer, (ns, _) in best.items() if peer != "fastbp"]
    return min(others) / best["fastbp"][0] if others and "fastbp" in best else None
