"""The processes of an MPI job: what they agree on and how they end together. Only this module imports mpi4py."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from time import sleep
from typing import Any, NoReturn, TypeVar, cast

from . import _checks, _messages
from ._extras import not_installed
from .results import DivergenceError

Method = TypeVar("Method", bound=Callable[..., Any])

JOB = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "MV2_COMM_WORLD_SIZE")  # variables that a launcher sets
USED = ("Get_rank", "Get_size", "Allreduce", "Bcast", "bcast", "gather", "allgather", "Abort")


def communicator() -> Any:
    """Return MPI.COMM_WORLD if mpiexec started several processes, otherwise None.

    Raises
    ------
    ImportError
        If mpiexec started this process and mpi4py is not installed. Each process would train the same network alone.
    """
    if not any(name in os.environ for name in JOB):
        return None
    try:
        from mpi4py import MPI
    except ImportError:
        raise not_installed("processes started by mpiexec need mpi4py", "mpi") from None
    return MPI.COMM_WORLD if MPI.COMM_WORLD.Get_size() > 1 else None


def turn() -> str:
    """Return a prefix for error messages that names the rank; "" for rank 0 and outside a job.

    Other ranks wait for a second: if all fail in the same way, `end_job` on rank 0 ends them before they print.
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
    """Return MPI.COMM_WORLD if this process is one of several in a job, otherwise None."""
    MPI = sys.modules.get("mpi4py.MPI")
    return MPI.COMM_WORLD if MPI is not None and MPI.COMM_WORLD.Get_size() > 1 else None


def ranks_of(comm: Any, optimizer: str) -> Ranks | None:
    """Return the processes of a communicator; None if comm is None or has only one process."""
    if comm is None:
        return None
    if not all(callable(getattr(comm, name, None)) for name in USED):
        raise TypeError(_checks.wrong("comm", "None or a communicator of mpi4py, such as MPI.COMM_WORLD", repr(comm)))
    if comm.Get_size() == 1:
        return None
    if optimizer == "lbfgs":
        raise ValueError(_checks.wrong("optimizer", "one that trains on batches, because comm is given", "'lbfgs'"))
    return Ranks(comm)


def together(method: Method) -> Method:
    """Make a method of Trainer fail on all ranks or on none. Otherwise the remaining ranks would wait forever."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        ranks: Ranks | None = self._state.ranks
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
    """The processes of a job, through mpi4py's communicator.

    Parameters
    ----------
    comm : only its methods in USED are called

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and the number of processes.
    met : bool
        Whether the ranks have met in the current call.
    agreed : exception or None
        The exception that all ranks raise or know about.
    """

    def __init__(self, comm: Any) -> None:
        self.comm, self.rank, self.size = comm, comm.Get_rank(), comm.Get_size()
        self.met, self.agreed = False, cast(BaseException | None, None)

    def seed(self, given: int | None) -> int:
        """Return the seed, which must be the same on all ranks; if it is None, the first rank draws one."""
        seeds = self.comm.allgather(given)
        self.same("seed", seeds)
        import secrets

        return int(self.comm.bcast(secrets.randbits(63) if given is None else given, root=0))

    def meet(self, facts: dict[str, str], error: Exception | None = None) -> None:
        """Raise on all ranks an earlier error of one rank, or an error if facts, text by argument, differ."""
        self.met = True
        everyone = self.comm.allgather((facts, error and _text(error)))
        self._raise_if_any(error, [text for _, text in everyone])
        for name in facts:
            self.same(name, [others.get(name) for others, _ in everyone])

    def same(self, name: str, values: list[Any]) -> None:
        """Raise an error on all ranks if the values, one for each rank, differ."""
        for rank, value in enumerate(values):
            if value != values[0]:
                came = f"{values[0]} on rank 0 and {value} on rank {rank}"
                self.fail(ValueError(_checks.wrong(name, "the same on all ranks of comm", came)))

    def each(self, function: Callable[[], Any]) -> Any:
        """Return the function's result on this rank, or raise on all ranks if it fails on one of them."""
        result, error = _tried(function)
        self._raise_if_any(error, self.comm.allgather(error and _text(error)))
        return result

    def of_first(self, function: Callable[[], Any]) -> Any:
        """Call the function on the first rank only, and return its result on all ranks."""
        result, error = _tried(function) if self.rank == 0 else (None, None)
        result, text = self.comm.bcast((result, error and _text(error)), root=0)
        self._raise_if_any(error, [text])
        return result

    def fail(self, error: BaseException) -> NoReturn:
        """Raise an error that all ranks raise."""
        self.agreed = error
        raise error

    def end_unless_agreed(self, error: BaseException) -> None:
        """End the whole job for an exception that only this rank raises: the other ranks would wait forever."""
        if error is self.agreed or isinstance(error, DivergenceError):
            return
        import traceback

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
