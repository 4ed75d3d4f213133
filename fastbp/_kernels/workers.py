"""Threads that stay between calls, which are called workers: how they wait for work, and how a call shares it out.

Each worker has a box with a state, which it and a caller change in turns. The worker waits for a caller (SPINS). If
none comes for a while, it returns to Python and sleeps there (SLEEPS). A caller takes the worker (TAKEN), and posts an
entry and a record (POSTED). The worker runs the entry (RUNS) and leaves the result (DONE). The caller reads it, and the
worker waits again (SPINS).
"""

from .atomics import call_entry, call_sleep, exchange_if, fetch_add, load_acquire, memory_at, pause, store_release
from .codes import (
    ASLEEP,
    BOX_NAP_TIME,
    BOX_SLEEP,
    CALL,
    DONE,
    ENDS,
    ENTRY,
    POSTED,
    RESULT,
    RUNS,
    SLEEPS,
    SPINS,
    STATE,
    TAKEN,
    THREAD,
)
from .jit import inner
from .llvm import get, put
from .tuning import LINGER


@inner
def rest(box, spins):
    """Wait for a moment: at first a pause, and after many spins a nap, so that a busy machine runs other threads."""
    if spins < LINGER:
        pause()
    else:
        call_sleep(get(box, BOX_SLEEP), get(box, BOX_NAP_TIME))


@inner
def serve(box):
    """Run what is posted in the box, until nothing comes for a while or the state is ENDS. Return whether it is."""
    spins = 0
    while True:
        state = load_acquire(box, STATE)
        if state == POSTED and exchange_if(box, STATE, POSTED, RUNS):
            put(box, RESULT, call_entry(get(box, ENTRY), get(box, CALL), get(box, THREAD)))
            store_release(box, STATE, DONE)
            spins = 0
        elif state == ENDS:
            return True
        elif state == SPINS and spins >= LINGER and exchange_if(box, STATE, SPINS, SLEEPS):
            return False
        spins += 1
        rest(box, spins)


@inner
def change(box, old, new):
    """Change the state of a box if it is the old one. Return whether it was."""
    return exchange_if(box, STATE, old, new)


@inner
def take(crew, n_workers):
    """Take some workers. Return whether all were awake; otherwise none is taken."""
    for i in range(1, n_workers + 1):
        if not exchange_if(memory_at(get(crew, 2 * i)), STATE, SPINS, TAKEN):
            for j in range(1, i):
                store_release(memory_at(get(crew, 2 * j)), STATE, SPINS)
            return False
    return True


@inner
def post(crew, n_workers):
    """Post the entry of a crew to its workers, to each with its record."""
    for i in range(1, n_workers + 1):
        box = memory_at(get(crew, 2 * i))
        put(box, ENTRY, get(crew, 0))
        put(box, CALL, get(crew, 2 * i + 1))
        put(box, THREAD, i)
        store_release(box, STATE, POSTED)


@inner
def run_with_workers(crew, n_workers):
    """Run an entry here and in some workers. Return the least of the results, or ASLEEP if a worker isn't awake.

    crew: the address of the entry, and of the record for this thread; then for each worker the addresses of its box and
    of its record. A worker that has not begun when this thread has finished does nothing.
    """
    if not take(crew, n_workers):
        return ASLEEP
    post(crew, n_workers)
    result = call_entry(get(crew, 0), get(crew, 1), 0)
    for i in range(1, n_workers + 1):
        box, spins = memory_at(get(crew, 2 * i)), 0
        if not exchange_if(box, STATE, POSTED, TAKEN):
            while load_acquire(box, STATE) != DONE:
                spins += 1
                rest(box, spins)
            result = min(result, get(box, RESULT))
        store_release(box, STATE, SPINS)
    return result


@inner
def run_ranges(ranges):
    """Call an entry for ranges of rows until none is left. Return the least of the results.

    ranges: the addresses of the entry, of a counter that all threads share, and of the entry's record; the slot of the
    record where a range starts, which its stop follows; how many rows a range has, and where the rows end.
    """
    entry, counter, call, slot = get(ranges, 0), memory_at(get(ranges, 1)), get(ranges, 2), get(ranges, 3)
    count, stop, record = get(ranges, 4), get(ranges, 5), memory_at(call)
    result = 1
    while True:
        start = fetch_add(counter, 0, count)
        if start >= stop:
            return result
        put(record, slot, start)
        put(record, slot + 1, min(start + count, stop))
        result = min(result, call_entry(entry, call, 0))
