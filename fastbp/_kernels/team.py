"""A team of threads inside one kernel: their meetings, and how they divide the work."""

from .atomics import call_sleep, fetch_add, load_acquire, pause, store_release
from .codes import ABANDONED, ARRIVED, LAST_BLOCK, NAP_TIME, NAPS, ROUND, SLEEP, TICKET, Division, Share
from .jit import inner
from .levels import REGISTER
from .llvm import get
from .tuning import (
    HEIGHT,
    LINE_VECTORS,
    MEETING_NUMBERS,
    PART_VECTORS,
    PATIENCE,
    PIECES,
    SPINS,
    TALL,
    TICKETS_PAY,
    UNEVEN,
    WIDE,
)


@inner
def nap(team):
    """Sleep as briefly as the system can, for some 60 µs, or let another thread run. Return whether it was a sleep.

    A thread that wakes goes before threads that compute.
    """
    sleep, time = get(team.meeting, SLEEP), get(team.meeting, NAP_TIME)
    if sleep != 0:
        call_sleep(sleep, time)
    return time > 0


@inner
def meet(team):
    """Wait until all threads of the team have called this as often as the caller. Then all see what each has stored.

    Return False if the team was abandoned by its first thread, which then isn't in the kernel.
    """
    if team.n_threads == 1:
        return True
    current = load_acquire(team.meeting, ROUND)
    if fetch_add(team.meeting, ARRIVED, 1) == team.n_threads - 1:
        store_release(team.meeting, ARRIVED, 0)
        store_release(team.meeting, TICKET, 0)
        store_release(team.meeting, ROUND, current + 1)
        return True
    spins = 0
    while load_acquire(team.meeting, ROUND) == current:
        spins += 1
        if spins < SPINS:
            pause()
        else:
            fetch_add(team.meeting, NAPS, 1)
            # Only to yield isn't enough: on a busy machine, a thread that never sleeps waits for its turn each time.
            # But where the shortest sleep takes milliseconds, it is all there is.
            if not nap(team):
                spins = 0
            if load_acquire(team.meeting, ABANDONED) != 0:
                return False
    return True


@inner
def end_if_tired(done, team):
    """End the call with block number `done` if the team had to nap often. All threads call this before the block.

    Python can then choose another number of threads, or handle Ctrl-C.
    """
    if team.n_threads > 1 and team.thread == 0 and load_acquire(team.meeting, NAPS) > PATIENCE:
        store_release(team.meeting, LAST_BLOCK, done + 1)


@inner
def was_last(done, team):
    """Return whether block number `done`, in which all threads have met, ends the call."""
    return team.n_threads > 1 and load_acquire(team.meeting, LAST_BLOCK) == done + 1


@inner
def piece_of(n, unit, i, count):
    """Return (start, length) of the i-th of `count` pieces of n things, which are cut between whole units."""
    units = (n + unit - 1) // unit
    start = min(units * i // count * unit, n)
    stop = min(units * (i + 1) // count * unit, n)
    return start, stop - start


@inner
def slice_of(n, unit, team):
    """Return (start, length) of this thread's piece of n things."""
    return piece_of(n, unit, team.thread, team.n_threads)


@inner
def slice_of_lines(columns, width, team):
    """Return (start, length) of this thread's piece of columns, which is cut between whole cache lines."""
    return slice_of(columns, LINE_VECTORS * width, team)


@inner
def share(rows, columns, height, width, team):
    """Return this thread's share of a matrix: cache lines of columns if that is even, else tiles of rows.

    Columns are better, because a thread then has the same weights in forward, gradient and update.
    """
    if team.n_threads == 1:
        return Share(0, rows, 0, columns)
    line = LINE_VECTORS * width
    lines = (columns + line - 1) // line
    busiest = (lines + team.n_threads - 1) // team.n_threads
    if UNEVEN * (busiest * team.n_threads - lines) <= lines:
        start, length = slice_of_lines(columns, width, team)
        return Share(0, rows, start, length)
    start, length = slice_of(rows, height, team)
    return Share(start, length, 0, columns)


@inner
def parts_of(columns, width):
    """Return the number of parts of `columns`, PART_VECTORS vectors each."""
    return (columns + PART_VECTORS * width - 1) // (PART_VECTORS * width)


@inner
def tickets_of(columns, weights, width, team):
    """Return the number of tickets for parts of `columns`; 0 means one share for each thread.

    With tickets, a thread that the operating system disturbs does fewer parts. But a thread doesn't get the same
    weights again, which costs more if they could stay in its cache. The last parts, one for each thread, have PIECES
    tickets each, so that all threads end at nearly the same time.
    """
    parts = parts_of(columns, width)
    draws = team.n_threads > 1 and weights >= TICKETS_PAY and parts >= 2 * team.n_threads
    return parts + (PIECES - 1) * team.n_threads if draws else 0


@inner
def draw(team):
    """Return the next ticket since the last meeting: 0, 1, 2 …"""
    return fetch_add(team.meeting, TICKET, 1)


@inner
def share_of_ticket(cut, ticket, team):
    """Return the share for a ticket: a part, or some rows of one of the last parts, and with few rows perhaps none."""
    rows, columns, part = cut.rows, cut.columns, PART_VECTORS * cut.width
    whole = parts_of(columns, cut.width) - team.n_threads
    if ticket < whole:
        return Share(0, rows, ticket * part, part)
    last = ticket - whole
    column = (whole + last // PIECES) * part
    row, length = piece_of(rows, cut.height, last % PIECES, PIECES)
    return Share(row, length, column, min(part, columns - column))


@inner
def keeps_rows(m, layer, above, width, team):
    """Return whether each thread takes its own rows of m samples through Θˡ, forward and backward, for l ≥ 2.

    It then waits for no other thread, but reads all weights, of which other threads have changed some. Otherwise, it
    waits for others, and reads what they have computed. Each thread must have a square of rows for `transpose`.
    """
    if team.n_threads == 1 or m < width * team.n_threads:
        return False
    unit = HEIGHT * team.n_threads
    uneven = (m + unit - 1) // unit * unit - m
    crosses = 2 * layer.n * above.n <= m * (layer.n + above.n) + MEETING_NUMBERS
    return crosses and UNEVEN * uneven <= m and max(layer.width, above.width) * (REGISTER // width) < WIDE


@inner
def division(rows, columns, weights, packed, width, team):
    """Divide a matrix of so many rows and columns, whose product reads so many weights and a Factor packed or not."""
    return Division(rows, columns, TALL if packed else HEIGHT, width, tickets_of(columns, weights, width, team), False)


@inner
def division_by_rows(rows, columns, width):
    """Divide a matrix so that each thread has whole rows, the same as `slice_of` gives it for tiles of HEIGHT rows."""
    return Division(rows, columns, HEIGHT, width, 0, True)


@inner
def next_drawn_share(cut, team):
    ticket = draw(team)
    return ticket < cut.tickets, share_of_ticket(cut, ticket, team)


@inner
def first_share(cut, team):
    """Return whether this thread has a share of a matrix, and the share. To be called once between two meetings."""
    if cut.tickets > 0:
        return next_drawn_share(cut, team)
    if cut.by_rows:
        first, rows = slice_of(cut.rows, cut.height, team)
        return True, Share(first, rows, 0, cut.columns)
    return True, share(cut.rows, cut.columns, cut.height, cut.width, team)


@inner
def next_share(cut, team):
    """Return whether there is one more share for this thread, and the share."""
    if cut.tickets > 0:
        return next_drawn_share(cut, team)
    return False, Share(0, 0, 0, 0)
