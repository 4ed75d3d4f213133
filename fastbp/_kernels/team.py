"""A team of threads inside one kernel: where they meet, and who does what."""

from .atomics import fetch_add, load_acquire, nap, pause, store_release
from .codes import ABANDONED, ARRIVED, LAST_BLOCK, NAPS, ROUND, TICKET, Share, Team
from .jit import inner

TICKETS_PAY = 1 << 17  # weights of a layer; half a megabyte of float32
PIECES = 4  # of a part
PATIENCE = 200  # naps in one call, some 50 ms
SPINS = 20000  # some 200 µs of pauses before a nap: well over a nap, or two threads would nap in turns for ever


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
def slice_of(n, unit, team):
    """(start, length) of a thread's part of n things, cut between whole units only."""
    units = (n + unit - 1) // unit
    start = min(units * team.thread // team.n_threads * unit, n)
    stop = min(units * (team.thread + 1) // team.n_threads * unit, n)
    return start, stop - start


@inner
def share(rows, columns, height, width, team):
    """Divide a matrix by columns, in whole vectors, if that is even enough; else by rows, in whole tiles.

    Columns first: a thread then meets the same weights in forward, gradient and update.
    """
    if team.n_threads == 1:
        return Share(0, rows, 0, columns)
    vectors = (columns + width - 1) // width
    busiest = (vectors + team.n_threads - 1) // team.n_threads
    if 8 * (busiest * team.n_threads - vectors) <= vectors:  # at most an eighth more than the mean
        start, length = slice_of(columns, width, team)
        return Share(0, rows, start, length)
    start, length = slice_of(rows, height, team)
    return Share(start, length, 0, columns)


@inner
def parts_of(columns, weights, width, team):
    """How many parts of `columns` the team draws by ticket, two vectors each; 0: one share for each thread.

    A thread that the operating system disturbs does fewer parts. But no thread then meets the same weights again, which
    costs more where they would have stayed in its cache. The last parts, one for each thread, are drawn in PIECES of
    their rows, so that all end nearly at once.
    """
    parts = (columns + 2 * width - 1) // (2 * width)
    draws = team.n_threads > 1 and weights >= TICKETS_PAY and parts >= 2 * team.n_threads
    return parts + (PIECES - 1) * team.n_threads if draws else 0


@inner
def draw(team):
    """The next ticket since the last meeting, 0, 1, 2 …"""
    return fetch_add(team.meeting, TICKET, 1)


@inner
def part(rows, columns, height, width, ticket, team):
    """The part of a matrix that a ticket stands for."""
    whole = (columns + 2 * width - 1) // (2 * width) - team.n_threads
    last = max(ticket - whole, 0)
    start = (min(ticket, whole) + last // PIECES) * 2 * width
    columns = min(2 * width, columns - start)
    if ticket < whole:
        return Share(0, rows, start, columns)
    row, rows = slice_of(rows, height, Team(team.meeting, last % PIECES, PIECES))
    return Share(row, rows, start, columns)
