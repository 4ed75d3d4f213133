"""A team of threads inside one kernel: where they meet, and who does what."""

from .atomics import fetch_add, load_acquire, nap, pause, store_release
from .codes import ABANDONED, ARRIVED, LAST_BLOCK, NAPS, ROUND, TICKET, Division, Share
from .jit import inner
from .tuning import HEIGHT, PATIENCE, PIECES, SPINS, TALL, TICKETS_PAY, UNEVEN


@inner
def meet(team):
    """Wait until all threads of the team have called this as often as the caller; then all see what each has stored.

    Returns False where the team was abandoned by its first thread, which then isn't in the kernel.
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
            nap()  # to yield isn't enough: on a busy machine a thread that is always ready waits for its turn each time
            if load_acquire(team.meeting, ABANDONED) != 0:
                return False
    return True


@inner
def end_if_tired(done, team):
    """To be called by all before block number `done`: a team that had to nap often ends its call with this block.

    So that Python, which may want another number of threads, or has heard Ctrl-C, is not kept waiting.
    """
    if team.n_threads > 1 and team.thread == 0 and load_acquire(team.meeting, NAPS) > PATIENCE:
        store_release(team.meeting, LAST_BLOCK, done + 1)


@inner
def was_last(done, team):
    """Whether block number `done`, which all have met in, ends the call."""
    return team.n_threads > 1 and load_acquire(team.meeting, LAST_BLOCK) == done + 1


@inner
def piece_of(n, unit, i, count):
    """(start, length) of the i-th of `count` pieces of n things, cut between whole units only."""
    units = (n + unit - 1) // unit
    start = min(units * i // count * unit, n)
    stop = min(units * (i + 1) // count * unit, n)
    return start, stop - start


@inner
def slice_of(n, unit, team):
    """The piece of n things that is a thread's."""
    return piece_of(n, unit, team.thread, team.n_threads)


@inner
def share(rows, columns, height, width, team):
    """Divide a matrix by columns, in whole vectors, if that is even enough; else by rows, in whole tiles.

    Columns first: a thread then meets the same weights in forward, gradient and update.
    """
    if team.n_threads == 1:
        return Share(0, rows, 0, columns)
    vectors = (columns + width - 1) // width
    busiest = (vectors + team.n_threads - 1) // team.n_threads
    if UNEVEN * (busiest * team.n_threads - vectors) <= vectors:
        start, length = slice_of(columns, width, team)
        return Share(0, rows, start, length)
    start, length = slice_of(rows, height, team)
    return Share(start, length, 0, columns)


@inner
def parts_of(columns, width):
    """How many parts `columns` have, two vectors each."""
    return (columns + 2 * width - 1) // (2 * width)


@inner
def tickets_of(columns, weights, width, team):
    """How many tickets there are for parts of `columns`; 0: one share for each thread.

    A thread that the operating system disturbs does fewer parts. But no thread then meets the same weights again, which
    costs more where they would have stayed in its cache. The last parts, as many as threads, take PIECES tickets each,
    so that all threads end nearly at once.
    """
    parts = parts_of(columns, width)
    draws = team.n_threads > 1 and weights >= TICKETS_PAY and parts >= 2 * team.n_threads
    return parts + (PIECES - 1) * team.n_threads if draws else 0


@inner
def draw(team):
    """The next ticket since the last meeting, 0, 1, 2 …"""
    return fetch_add(team.meeting, TICKET, 1)


@inner
def share_of_ticket(cut, ticket, team):
    """What of a matrix a ticket stands for: a part, or some rows of one of the last; with few rows perhaps none."""
    rows, columns, width = cut.rows, cut.columns, cut.width
    whole = parts_of(columns, width) - team.n_threads
    if ticket < whole:
        return Share(0, rows, ticket * 2 * width, 2 * width)
    last = ticket - whole
    column = (whole + last // PIECES) * 2 * width
    row, length = piece_of(rows, cut.height, last % PIECES, PIECES)
    return Share(row, length, column, min(2 * width, columns - column))


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
