"""The search for an ensemble: candidates are trained in threads until the time is over, and weighted together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from threading import Thread
from time import perf_counter, thread_time
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from ._configurations import Configuration, proposed
from ._constant import Constant
from ._fitted import Fitted, Row, weighted
from ._linear_member import linear_members
from ._members import Member
from ._networks import Folds, NetworkMember, multiplications
from ._problem import Problem

Array = npt.NDArray[Any]
Number = tuple[int, int]  # 0 for extra candidates and 1 for networks, and the place among them

MOST = 100  # candidates
GOOD = 3  # configurations that are varied
LAG = 6  # a candidate is compared with those that lie so far before it, so that threads have other work meanwhile
WORSE, ERRORS = 0.02, 2.0  # it ends after its first fold if it is worse by this share, and by so many standard errors
RESERVE = 0.02, 0.03, 1.0  # the share of the time that is kept for weighting, at least and at most so many seconds
FIRST_SHARE, SHARE = 0.5, 0.9  # of the processor time left, which the networks of a candidate may take
STOPS_AT = 0.6  # the share of its epochs after which early stopping usually ends a network
SKIPS = 50  # candidates that there was no time for, after which the search ends
LEAST_SHARE = 0.4  # of its epochs, with which a candidate is worth its time
FIRST = 2  # linear models that come before all networks
LINEAR_SHARE = 0.3  # of the time, after which linear models try no other penalty
NARROWEST = 32  # units of a hidden layer that is made narrower where time is short
SPEED = 2e10  # multiplications in a second, before any were measured


@dataclass
class Candidate:
    """A configuration and what came of it.

    Attributes
    ----------
    number : its place in the order of candidates
    name : what people call it
    folds : the training, until it is finished
    waiting : folds that wait for a thread
    trained : how many folds have ended
    seconds, epochs : processor time and epochs that its networks took together
    decided : whether the other folds were started, or given up
    finished : whether nothing is left to do
    member : the result, if every fold has a network
    """

    number: int
    name: str
    folds: Folds | None
    waiting: deque[int]
    decided: bool
    trained: int = 0
    seconds: float = 0.0
    epochs: int = 0
    finished: bool = False
    member: NetworkMember | None = None


Task = Callable[[], Callable[[], None]]


class Search:
    """Train candidates and weight them.

    Parameters
    ----------
    problem : Problem
        The rows.
    max_seconds : float
        The time limit; infinity for none.
    n_networks : int, optional
        How many networks to train, one for each candidate and fold.
    n_jobs : int
        Threads that train at once.
    random_state : int
        Seed of the networks.
    extra : functions without arguments that return a Member, or None if they had to stop
        The user's estimators.
    told : function of a Row, optional
        Called for each candidate that has finished.
    started : float, optional
        When the time began, by `perf_counter`.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        max_seconds: float,
        n_networks: int | None,
        n_jobs: int,
        random_state: int,
        extra: Sequence[Callable[[], Member | None]] = (),
        told: Callable[[Row], None] | None = None,
        started: float | None = None,
    ) -> None:
        self.problem, self.n_jobs, self.told = problem, n_jobs, told
        self.started = perf_counter() if started is None else started
        share, least, most = RESERVE
        self.deadline = self.started + max_seconds - min(max(least, share * max_seconds), most)
        self.random_state = random_state
        wanted = MOST if n_networks is None else max(1, n_networks // problem.n_folds)
        learns = len(problem.columns) > 0 and len(np.unique(problem.y)) > 1
        self._wanted = wanted if learns else 0
        self._candidates = list[Candidate]()
        linear = linear_members(problem, self.started + LINEAR_SHARE * max_seconds) if learns else []
        self._extra = deque(enumerate([*linear, *extra]))
        constant = Constant.of(problem)
        row = Row(constant.name, constant.family, constant.loss, 0.0)
        self._members, self._log = [((0, -1), cast(Member, constant))], [((0, -1), row)]
        self._tasks, self._results = SimpleQueue[Task | None](), SimpleQueue[Callable[[], None] | BaseException]()
        self._n_extra = len(self._extra)
        self._halted = self.interrupted = False
        self._work_done = self._work_seconds = 0.0
        self._skipped = 0

    def run(self) -> Fitted:
        """Return the ensemble of the candidates that finished in time. Ctrl-C ends the search early.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C came before any candidate had finished.
        """
        threads = [Thread(target=self._work, name=f"fastbp.tabular {i}", daemon=True) for i in range(self.n_jobs)]
        with threadpool_limits(1, user_api="blas"):  # its threads would take the processors from ours
            try:
                for thread in threads:
                    thread.start()
                self._coordinate()
            except KeyboardInterrupt:
                self.interrupted = True
            finally:
                self._halted = True
                for _ in threads:
                    self._tasks.put(None)
                for thread in threads:
                    thread.join()
            self._collect()
            if self.interrupted and len(self._members) == 1:
                raise KeyboardInterrupt("interrupted before there was an answer")
            self._members.sort(key=lambda pair: pair[0])
            members = [member for _, member in self._members]
            first = sum(number <= (1, 0) for number, _ in self._members)
            log = [row for _, row in sorted(self._log, key=lambda pair: pair[0])]
            return weighted(self.problem, members, first, log, self.interrupted)

    def _coordinate(self) -> None:
        """Give tasks to the threads until there are none left."""
        running = 0
        while True:
            while running < self.n_jobs and (task := self._next()):
                self._tasks.put(task)
                running += 1
            if not running:
                return
            done = self._results.get()
            running -= 1
            self._take(done)

    def _collect(self) -> None:
        """Take the results that came after Ctrl-C."""
        while not self._results.empty():
            self._take(self._results.get())

    def _take(self, done: Callable[[], None] | BaseException) -> None:
        """Run what a task leaves to the coordinator, or raise its error."""
        if isinstance(done, BaseException):
            raise done
        done()

    def _work(self) -> None:
        """Do tasks until there are none. An error goes to the coordinator."""
        while (task := self._tasks.get()) is not None:
            try:
                self._results.put(task())
            except BaseException as error:
                self._results.put(error)

    @property
    def _begun(self) -> bool:
        """Whether every fold of the first candidate has a thread."""
        return bool(self._candidates) and not self._candidates[0].waiting

    def _left(self) -> float:
        """Return the seconds left; none after the end of the search."""
        return -math.inf if self._halted else self.deadline - perf_counter()

    def _next(self) -> Task | None:
        """Return the next task, or None if there is nothing to do now.

        Two linear models and the first networks come first, so that there is an answer soon. Then come the other linear
        models and the user's estimators, the other folds of candidates, and the first folds of new ones.
        """
        if self._extra and (len(self._extra) > self._n_extra - FIRST or self._wanted == 0 or self._begun):
            return partial(self._fit_extra, *self._extra.popleft())
        if self._left() <= 0:
            return None
        for candidate in self._candidates:
            if not candidate.decided:
                self._decide(candidate)
            if candidate.waiting:
                return partial(self._fit_fold, candidate, candidate.waiting.popleft())
        undecided = sum(not candidate.decided for candidate in self._candidates)
        ready = undecided < LAG and all(other.finished for other in self._earlier(len(self._candidates)))
        if len(self._candidates) < self._wanted and ready and (new := self._new()):
            self._candidates.append(new)
            return partial(self._fit_fold, new, new.waiting.popleft())
        return None

    def _fit_extra(self, number: int, fit: Callable[[], Member | None]) -> Callable[[], None]:
        with threadpool_limits(1, user_api="openmp"):  # which counts the threads of each of ours apart
            member = fit()

        def finish() -> None:
            if member is not None:
                self._members.append(((0, number), member))
                self._tell((0, number), Row(member.name, member.family, member.loss, member.seconds))

        return finish

    def _new(self) -> Candidate | None:
        """Return the next candidate that there is time for, or None."""
        number, classes = len(self._candidates), self.problem.n_classes is not None
        good = self._good(number)
        while self._skipped <= SKIPS:
            configuration = proposed(number + self._skipped, self.random_state, good, classes=classes)
            epochs = self._possible(configuration)
            while epochs < LEAST_SHARE * configuration.epochs and max(configuration.hidden) > NARROWEST:
                configuration = configuration.narrower()
                epochs = self._possible(configuration)
            if epochs < LEAST_SHARE * configuration.epochs and number > 0:
                self._skipped += 1
                continue
            folds = Folds(self.problem, configuration, number, self.random_state, epochs)
            waiting = range(self.problem.n_folds if number == 0 else 1)
            return Candidate(number, folds.name, folds, deque(waiting), decided=number == 0)
        return None

    def _earlier(self, number: int) -> list[Candidate]:
        """Return the candidates that lie LAG or more before another, on which decisions about it depend.

        The decisions are therefore the same, whichever candidate finishes first.
        """
        return self._candidates[: max(0, number - LAG + 1)]

    def _good(self, number: int) -> list[Configuration]:
        """Return the configurations of the GOOD best members among earlier candidates, the best first."""
        members = [other.member for other in self._earlier(number) if other.member]
        best = sorted(members, key=lambda member: member.loss)[:GOOD]
        return [member.architecture.configuration for member in best]

    def _possible(self, configuration: Configuration) -> int:
        """Return for how many epochs of a configuration there is time, at least one."""
        left = self._left() * self.n_jobs * (SHARE if self._candidates else FIRST_SHARE)
        if math.isinf(left):
            return configuration.epochs
        work = multiplications(self.problem, configuration, self.problem.width(configuration.view))
        speed = self._work_done / self._work_seconds if self._work_seconds > 0 else SPEED
        return int(np.clip(left * speed / (work * self.problem.n_folds * STOPS_AT), 1, configuration.epochs))

    def _fit_fold(self, candidate: Candidate, fold: int) -> Callable[[], None]:
        """Train the network of a fold."""
        started, worked, folds = perf_counter(), thread_time(), candidate.folds
        assert folds is not None
        epochs = folds.train(fold, self._left)
        seconds, worked = perf_counter() - started, thread_time() - worked

        def finish() -> None:
            candidate.trained += 1
            candidate.seconds += worked
            candidate.epochs += epochs
            self._work_done += epochs * folds.multiplications
            self._work_seconds += seconds
            if candidate.trained == self.problem.n_folds:
                self._finish(candidate)

        return finish

    def _finish(self, candidate: Candidate) -> None:
        """Make a candidate a member, if every fold has a network."""
        folds = candidate.folds
        assert folds is not None
        loss = folds.first_loss()
        if folds.complete:
            candidate.member = member = folds.member(candidate.seconds)
            self._members.append(((1, candidate.number), member))
            loss = member.loss
        row = Row(candidate.name, "network", loss, candidate.seconds, candidate.epochs, folds.complete)
        candidate.finished, candidate.folds = True, None  # which gives the memory of its view free
        self._tell((1, candidate.number), row)

    def _decide(self, candidate: Candidate) -> None:
        """Start the other folds of a candidate, or give it up if its first fold is much worse than the best so far."""
        earlier = self._earlier(candidate.number)
        if candidate.trained == 0 or not all(other.finished for other in earlier):
            return
        candidate.decided = True
        best = min((other.member for other in earlier if other.member), key=lambda member: member.loss, default=None)
        assert candidate.folds is not None
        if not candidate.folds.trained(0) or (best is not None and self._is_worse(candidate.folds, best)):
            self._finish(candidate)
            return
        candidate.waiting.extend(range(1, self.problem.n_folds))

    def _is_worse(self, folds: Folds, best: Member) -> bool:
        """Return whether the first fold's predictions are clearly worse than those of another member."""
        _, rows = self.problem.rows(0)
        ours, theirs = (row_losses(self.problem, rows, oof[rows]) for oof in (folds.oof, best.oof))
        difference = ours - theirs
        error = difference.std() / math.sqrt(len(rows))
        return bool(difference.mean() > max(WORSE * abs(theirs.mean()), ERRORS * error))

    def _tell(self, number: tuple[int, int], row: Row) -> None:
        self._log.append((number, row))
        if self.told:
            self.told(row)


def row_losses(problem: Problem, rows: Array, predictions: Array) -> Array:
    """Return a loss of each row: −log of the class's probability, the squared or the absolute error."""
    y = problem.y[rows]
    if problem.n_classes is not None:
        return -np.log(np.maximum(predictions[np.arange(len(y)), y], 1e-7))
    error = np.abs(predictions - y)
    return error if problem.objective.name in ("mae", "quantile") else error**2
