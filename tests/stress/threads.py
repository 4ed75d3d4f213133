"""64 trainers in 16 Python threads: every result has the bits of the same trainer alone.

    python -m tests.stress.threads --seconds 300

The threads pass the trainers around: whichever is free takes the next one for a round of fit, predict, evaluate and
gradients. Meanwhile four more threads compete for one trainer: whoever comes second gets a RuntimeError, and the
weights are those of as many fits as succeeded.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock

from fastbp import Trainer
from tests.cases import Case
from tests.stress._models import Model, differences, digest, models

THREADS, RIVALS = 16, 4
CONTESTED = Model(Case((20, 67, 10), "tanh", n=64, dtype="float32"))


class Round:
    """A trainer on its way, and what each of its rounds should give."""

    def __init__(self, model: Model, expected: list[dict[str, str]]) -> None:
        self.model, self.expected, self.done = model, expected, 0
        self.trainer = model.trainer()

    def go(self) -> list[str]:
        """The next round; which of its results are wrong."""
        if self.done == len(self.expected):
            self.trainer, self.done = self.model.trainer(), 0
        wrong = differences(self.model.round(self.trainer), self.expected[self.done])
        self.done += 1
        return [f"{self.model}, round {self.done}: other {name}" for name in wrong]


@contextmanager
def frequent_switches() -> Iterator[None]:
    """Python threads take turns a hundred times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 100)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def together(chosen: list[Model], seconds: float, rounds: int) -> tuple[Counter[str], list[str]]:
    """Counts, and what went wrong, of trainers in many threads: for some time, and at least one round each."""
    waiting = deque(Round(model, model.rounds(rounds)) for model in chosen)
    first, counts, counting = len(waiting), Counter[str](), Lock()
    deadline = time.monotonic() + seconds
    contested = CONTESTED.trainer()

    def count(name: str) -> None:
        with counting:
            counts[name] += 1

    def work(_: int) -> list[str]:
        wrong: list[str] = []
        while time.monotonic() < deadline or counts["rounds"] < first:
            try:
                item = waiting.popleft()
            except IndexError:  # more threads than trainers
                time.sleep(0.001)
                continue
            wrong += item.go()
            waiting.append(item)
            count("rounds")
        return wrong

    def compete(_: int) -> list[str]:
        while time.monotonic() < deadline or not (counts["refusals"] and counts["fits"]):
            try:
                contested.fit(*CONTESTED.case.data(), epochs=2, verbose=0)
                count("fits")
            except RuntimeError as error:
                if "already being trained" not in str(error):
                    raise
                count("refusals")
        return []

    with frequent_switches(), ThreadPoolExecutor(THREADS + RIVALS) as pool:
        tasks = [pool.submit(work, i) for i in range(THREADS)] + [pool.submit(compete, i) for i in range(RIVALS)]
        wrong = [line for task in tasks for line in task.result()]
    return counts, wrong + contest(contested, counts["fits"])


def contest(contested: Trainer, fits: int) -> list[str]:
    """What is wrong with the trainer that several threads wanted, after so many fits."""
    alone = CONTESTED.trainer()
    for _ in range(fits):
        alone.fit(*CONTESTED.case.data(), epochs=2, verbose=0)
    right = digest(alone.get_weights()) == digest(contested.get_weights()) and alone.history == contested.history
    return [] if right else ["the trainer that several threads wanted: other weights or another history"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    counts, wrong = together(models(), options.seconds, rounds=10)
    print(*wrong[:20], sep="\n", end="\n" if wrong else "")
    print(
        f"{len(models())} trainers in {THREADS} threads: {counts['rounds']} rounds; one in {RIVALS} threads: "
        f"{counts['fits']} fits, {counts['refusals']} refusals; {len(wrong)} wrong"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
