"""The reader of a Stream: a thread reads and checks ahead, and hands over slabs of whole batches."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _checks, _messages
from .._kernels import codes
from ._slabs import ShuffleBuffer, Slab
from ._stream import Stream

Array = npt.NDArray[Any]

SLAB_BYTES = 1 << 22  # size of a slab (at least a batch): some milliseconds of training, and fits the caches
ROWS_SLAB_BYTES = 1 << 20  # of a source that never waits for a disk
POLL_SECONDS = 0.1  # between two checks of the time and the thread while waiting for it
GRACE_SECONDS = 1.0  # the longest wait for a reader to end
COLUMNS = ("X", "targets", "labels", "weights")  # fields of codes.Data
IN_WORDS = {"X": "X", "targets": "y", "labels": "class numbers", "weights": "sample_weight"}


class Stopped(Exception):
    """Ends the reader when its slabs are no longer needed."""


class Feed:
    """The passes of a trainer over a Stream.

    Parameters
    ----------
    argument : the name of the stream in messages
    stream : the samples
    take : checks a chunk; its arguments are the chunk's name in messages, the chunk, and whether it is the first one
    data : turns columns into the kernels' data
    shuffles : whether the order is random

    Attributes
    ----------
    rows : number of rows in a pass, or None if unknown
    """

    def __init__(
        self,
        argument: str,
        stream: Stream,
        take: Callable[[str, Any, bool], codes.Data],
        data: Callable[..., codes.Data],
        *,
        shuffles: bool,
    ) -> None:
        self.argument, self.stream, self.take, self.data = argument, stream, take, data
        self.rows, self.shuffles = stream.rows, shuffles and (stream.shuffle_buffer > 0 or stream._mixes)
        self.passes = 0
        self.names: tuple[str, ...] = ()  # names of the columns, set by the first chunk
        self.slabs: list[Slab | None] = [None] * (stream.read_ahead + 1)
        self.buffer: ShuffleBuffer | None = None

    @contextmanager
    def epoch(
        self, batch_size: int, random: npt.NDArray[np.uint64], poll: Callable[[], None]
    ) -> Iterator[Iterator[codes.Data]]:
        """Yield slabs of whole batches, the last of which may be shorter. Each slab is valid until the next one comes.

        Parameters
        ----------
        batch_size : m
        random : (1,) state, which advances if the order is random
        poll : called ten times a second while waiting for a slab; an exception from it ends the pass

        Raises
        ------
        ValueError, TypeError
            For a chunk that `take` refuses, a wrong number of rows, no rows, or weights that are all 0.
        RuntimeError
            If the reader ended unexpectedly.
        Exception
            Any exception of the source.
        """
        rng = None
        if self.shuffles:
            rng = np.random.default_rng(int(random[0]))
            random[0] = rng.integers(0, 1 << 64, dtype=np.uint64)
        self.passes += 1
        reader = Reader(self, batch_size, rng)
        try:
            reader.start()
            yield reader.read(poll)
        finally:
            reader.stop()

    def columns(self, name: str, data: codes.Data) -> list[Array]:
        """Return the columns of a chunk. All chunks must have the same columns."""
        names = tuple(column for column in COLUMNS if len(getattr(data, column)))
        self.names = self.names or names
        if names != self.names:
            had, has = (", ".join(IN_WORDS[column] for column in columns) for columns in (self.names, names))
            raise ValueError(_checks.wrong(name, f"{had}, as in the chunks before", has))
        return [getattr(data, column) for column in names]


class Reader:
    """A thread that reads one pass ahead of the training.

    Parameters
    ----------
    feed : its stream is read
    batch_size : each slab, except the last one, has a multiple of so many rows
    rng : for the order; None keeps the order of the source
    """

    def __init__(self, feed: Feed, batch_size: int, rng: np.random.Generator | None) -> None:
        self.feed, self.batch_size, self.rng = feed, batch_size, rng
        self.full: SimpleQueue[Slab | BaseException | None] = SimpleQueue()  # None marks the end
        self.free: SimpleQueue[int] = SimpleQueue()  # places in feed.slabs
        for place in range(len(feed.slabs)):
            self.free.put(place)
        self.stopping = False
        self.slab: Slab | None = None  # the slab that is being filled
        self.told: deque[_messages.Told] = deque()  # warnings of the thread
        self.thread = threading.Thread(target=self._run, name="fastbp reader", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def stop(self) -> None:
        """End the thread. A thread whose source is blocked on I/O ends when that read returns."""
        self.stopping = True
        self.free.put(-1)  # wakes it up
        if self.thread.ident is not None:
            self.thread.join(GRACE_SECONDS)

    def read(self, poll: Callable[[], None]) -> Iterator[codes.Data]:
        """Yield the rows of one slab after the other. Each is valid until the next is requested."""
        while (slab := self._next(poll)) is not None:
            yield self.feed.data(**dict(zip(self.feed.names, slab.taken, strict=True)))
            slab.count = 0
            self.free.put(self.feed.slabs.index(slab))

    def _next(self, poll: Callable[[], None]) -> Slab | None:
        while True:
            alive = self.thread.is_alive()  # check before reading the queue
            try:
                item = self.full.get(timeout=POLL_SECONDS)
            except Empty:
                poll()
                if not alive:
                    raise RuntimeError(
                        f"{self.feed.argument}: the thread that reads the Stream ended unexpectedly"
                    ) from None
                continue
            _messages.give(self.told, _checks.level_outside())
            if not isinstance(item, BaseException):
                return item
            try:
                raise item
            finally:
                del item  # otherwise its traceback would keep the reader's objects alive

    def _run(self) -> None:
        try:
            with _messages.kept(self.told), closing(self.feed.stream._named(self.rng)) as chunks:
                self._read(chunks)
            self.full.put(None)
        except Stopped:  # no one is waiting
            pass
        except BaseException as error:  # the waiting thread must get any error
            self.full.put(error)

    def _read(self, chunks: Iterator[tuple[str, Any]]) -> None:
        """Read and check all chunks, and hand over their rows."""
        feed, expected, seen, count, weight = self.feed, self.feed.rows, 0, 0, 0.0
        for name, chunk in chunks:
            if self.stopping:
                raise Stopped
            count += 1
            if _is_empty(chunk):
                continue
            data = feed.take(name, chunk, seen == 0 and feed.passes == 1)
            seen, weight = seen + len(data.X), weight + data.weight
            if expected is not None and seen > expected:
                raise ValueError(
                    _checks.wrong(feed.argument, f"a Stream of {expected:,} rows", f"{seen:,} with {name}")
                )
            columns = feed.columns(name, data)
            if self.rng is None or feed.stream._mixes:
                self._hand_over(columns)
            else:
                for chosen in self._buffer(columns).put(columns, self.rng):
                    self._hand_over(*chosen)
        if seen < (expected or 1):
            came = f"{seen:,} rows in {count} chunks in pass {feed.passes}"
            advice = "; an iterator can be read only once, so pass a function that returns a new one"
            hint = advice if feed.passes > 1 else ""
            rows = f"{expected:,} rows" if expected else "at least one row"
            raise ValueError(_checks.wrong(feed.argument, f"a Stream of {rows}", came + hint))
        if weight == 0:
            raise ValueError(_checks.wrong(feed.argument, "a Stream with some weight > 0", "only 0"))
        if self.rng is not None and feed.buffer is not None:
            for chosen in feed.buffer.rest(self.rng):
                self._hand_over(*chosen)
        if self.slab is not None:
            self.full.put(self.slab)

    def _buffer(self, columns: Sequence[Array]) -> ShuffleBuffer:
        """Return the feed's shuffle buffer, which is empty after each pass."""
        feed = self.feed
        if feed.buffer is None:
            size = min(feed.stream.shuffle_buffer, feed.rows or feed.stream.shuffle_buffer)
            _checks.fits("shuffle_buffer", f"one of {size:,} rows", size * _row_bytes(columns))
            feed.buffer = ShuffleBuffer(columns, size)
        return feed.buffer

    def _hand_over(self, columns: Sequence[Array], rows: npt.NDArray[np.int64] | None = None) -> None:
        """Copy rows, all or those in `rows`, into slabs, and hand over the slabs that are full."""
        done, n = 0, len(columns[0]) if rows is None else len(rows)
        while done < n:
            if self.slab is None:
                self.slab = self._free_slab(columns)
            done += self.slab.take(columns, done, rows)
            if self.slab.is_full:
                self.full.put(self.slab)
                self.slab = None

    def _free_slab(self, columns: Sequence[Array]) -> Slab:
        """Wait for a slab that is not in use, and return it."""
        place = self.free.get()
        if self.stopping:
            raise Stopped
        slab_bytes = ROWS_SLAB_BYTES if self.feed.stream._mixes else SLAB_BYTES
        batches = max(1, slab_bytes // (_row_bytes(columns) * self.batch_size))
        if self.feed.rows is not None:
            batches = min(batches, -(-self.feed.rows // self.batch_size))
        capacity, slab = batches * self.batch_size, self.feed.slabs[place]
        if slab is None or slab.capacity != capacity:
            _checks.fits("batch_size", f"{capacity:,} rows", capacity * _row_bytes(columns))
            slab = self.feed.slabs[place] = Slab(columns, capacity)
        return slab


def _row_bytes(columns: Sequence[Array]) -> int:
    return sum(column.nbytes for column in columns) // len(columns[0])


def _is_empty(chunk: Any) -> bool:
    """Return whether all arrays of a chunk have no rows. Such a chunk is skipped."""
    if not isinstance(chunk, tuple | list) or len(chunk) < 2:
        return False
    return all(hasattr(array, "__len__") and len(array) == 0 for array in chunk if array is not None)
