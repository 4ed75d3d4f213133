"""The processes of an MPI job: what they agree on, and how they end together; the door to mpi4py."""

from __future__ import annotations

import functools
import os
import secrets
import sys
import traceback
from collections.abc import Callable
from time import sleep
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from . import _checks, _messages
from .results import DivergenceError

if TYPE_CHECKING:
    from .trainer import Trainer

Method = TypeVar("Method", bound=Callable[..., Any])

JOB = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MV2_COMM_WORLD_SIZE")  # variables that a launcher sets
USED = ("Get_rank", "Get_size", "Allreduce", "Bcast", "bcast", "gather", "allgather", "Abort")


def communicator() -> Any:
    """MPI.COMM_WORLD, where mpiexec started this process and others; else None.

    Raises
    ------
    ImportError
        Where mpiexec started it and mpi4py is not installed: the processes would train the same thing, each alone.
    """
    if not any(name in os.environ for name in JOB):
        return None
    try:
        from mpi4py import MPI
    except ImportError:
        raise ImportError("processes started by mpiexec need mpi4py: pip install 'fastbp[mpi]'") from None
    return MPI.COMM_WORLD if MPI.COMM_WORLD.Get_size() > 1 else None


def turn() -> str:
    """Which rank speaks of an error, in words; empty for the first, and where there is no job.

    The others come a second later: where all fail alike, the first one's `end_job` spares the user theirs.
    """
    rank = _world().Get_rank() if _world() else 0
    if rank > 0:
        sleep(1)
    return f"rank {rank}: " if rank > 0 else ""


def end_job(code: int) -> None:
    """End all processes of the job, which would wait for this one. Do nothing if there are no others."""
    if _world():
        _world().Abort(code)


def _world() -> Any:
    """MPI.COMM_WORLD, if `communicator` gave it to this process."""
    MPI = sys.modules.get("mpi4py.MPI")
    return MPI.COMM_WORLD if MPI is not None and MPI.COMM_WORLD.Get_size() > 1 else None


def ranks_of(comm: Any, optimizer: str) -> Ranks | None:
    """The processes of a communicator; None for None, and for a process without others."""
    if comm is None:
        return None
    if not all(callable(getattr(comm, name, None)) for name in USED):
        raise TypeError(_checks.wrong("comm", "None or mpi4py's communicator, such as MPI.COMM_WORLD", repr(comm)))
    if comm.Get_size() == 1:
        return None
    if optimizer == "lbfgs":
        raise ValueError(_checks.wrong("optimizer", "one that goes by batches, as there is a comm", "'lbfgs'"))
    return Ranks(comm)


def together(method: Method) -> Method:
    """Make a method of Trainer one that all ranks fail of, or none: else those that go on would wait for ever."""

    @functools.wraps(method)
    def call(self: Trainer, *args: Any, **options: Any) -> Any:
        ranks = self._ranks
        if ranks is None:
            return method(self, *args, **options)
        ranks.met, ranks.agreed = False, None
        try:
            return method(self, *args, **options)
        except Exception as error:
            if not ranks.met:  # the others meet before the first batch
                ranks.meet({}, error)
            ranks.end_unless_agreed(error)
            raise

    return cast(Method, call)


class Ranks:
    """The processes of a job, by mpi4py's communicator.

    Parameters
    ----------
    comm : of which only the methods of USED are called

    Attributes
    ----------
    rank, size : int
        This process's number, from 0, and how many there are.
    met : bool
        Whether they met in the call that runs.
    agreed : exception or None
        The one that all of them raise, or know of.
    """

    def __init__(self, comm: Any) -> None:
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self.met, self.agreed = False, cast(BaseException | None, None)

    def seed(self, given: int | None) -> int:
        """The seed that all were given; one that the first rank draws, where none was."""
        seeds = self.comm.allgather(given)
        self.same("seed", seeds)
        return int(self.comm.bcast(secrets.randbits(63) if given is None else given, root=0))

    def meet(self, facts: dict[str, str], error: Exception | None = None) -> None:
        """Raise on all ranks what went wrong on one before this, or where facts, text by argument, differ."""
        self.met = True
        everyone = self.comm.allgather((facts, error and _text(error)))
        self._raise_if_any(error, [text for _, text in everyone])
        for name in facts:
            self.same(name, [others.get(name) for others, _ in everyone])

    def same(self, name: str, values: list[Any]) -> None:
        """Raise on all ranks where values, one of each, differ."""
        for rank, value in enumerate(values):
            if value != values[0]:
                came = f"{values[0]} on rank 0 and {value} on rank {rank}"
                self.fail(ValueError(_checks.wrong(name, "the same on all ranks of comm", came)))

    def each(self, function: Callable[[], Any]) -> Any:
        """What a function gives here, if it fails on no rank."""
        result, error = _tried(function)
        self._raise_if_any(error, self.comm.allgather(error and _text(error)))
        return result

    def of_first(self, function: Callable[[], Any]) -> Any:
        """What a function gives on the first rank, where alone it is called, on all."""
        result, error = _tried(function) if self.rank == 0 else (None, None)
        result, text = self.comm.bcast((result, error and _text(error)), root=0)
        self._raise_if_any(error, [text])
        return result

    def fail(self, error: BaseException) -> NoReturn:
        """Raise what all ranks raise."""
        self.agreed = error
        raise error

    def end_unless_agreed(self, error: BaseException) -> None:
        """End the whole job for an exception that the other ranks don't have, because they would wait forever."""
        if error is self.agreed or isinstance(error, DivergenceError):
            return
        _messages.err("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        _messages.err(f"fastbp: rank {self.rank} of {self.size} failed, so the job ends: {_text(error)}\n")
        self.comm.Abort(1)

    def _raise_if_any(self, error: Exception | None, texts: list[str | None]) -> None:
        failed = [(rank, text) for rank, text in enumerate(texts) if text]
        if error is not None:
            self.fail(error)
        if failed:
            self.fail(RuntimeError(f"rank {failed[0][0]} failed: {failed[0][1]}"))


def _tried(function: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        return function(), None
    except Exception as error:
        return None, error


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
