"""Threads that meet, and the division of work among them."""

from __future__ import annotations

from itertools import product
from threading import Thread

import numpy as np
import pytest

from fastbp._kernels import team, tuning
from fastbp._kernels.codes import ABANDONED, ARRIVED, MEETING_SIZE, ROUND, Division, Team
from fastbp._kernels.jit import kernel
from fastbp._kernels.team import draw, first_share, meet, next_share

# as Python may call them
share, slice_of = kernel(team.share.py_func), kernel(team.slice_of.py_func)
share_of_ticket, tickets_of = kernel(team.share_of_ticket.py_func), kernel(team.tickets_of.py_func)
division, division_by_rows = kernel(team.division.py_func), kernel(team.division_by_rows.py_func)

LINE = 8  # int64s of a cache line


@kernel
def leapfrog(team, steps, n):
    """Each round every thread reads its neighbour's number, and after a meeting writes it, plus one, as its own."""
    for _ in range(n):
        value = steps[(team.thread + 1) % team.n_threads * LINE]
        if not meet(team):
            return False
        steps[team.thread * LINE] = value + 1
        if not meet(team):
            return False
    return True


@kernel
def meet_once(team):
    return meet(team)


@kernel
def draw_all(team, n, rounds, counts):
    """In each round the team draws until a ticket is n or more; counts how often each of 0 … n − 1 was drawn."""
    for _ in range(rounds):
        ticket = draw(team)
        while ticket < n:
            counts[team.thread, ticket] += 1
            ticket = draw(team)
        meet(team)


def new_meeting() -> np.ndarray:
    return np.zeros(MEETING_SIZE, np.int64)


def start(call, n_threads, first=0) -> tuple[list[Thread], dict]:
    """Threads first … n_threads − 1, begun, and where each leaves what call(thread) returned."""
    results: dict = {}
    threads = [Thread(target=lambda i=i: results.__setitem__(i, call(i)), daemon=True) for i in range(first, n_threads)]
    for thread in threads:
        thread.start()
    return threads, results


def join(threads) -> None:
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize(("n_threads", "rounds"), [(1, 1000), (2, 10_000), (3, 500), (4, 300)])
def test_no_thread_passes_before_all_have_come(n_threads, rounds):
    """More threads than processors too: who waits sleeps."""
    meeting, steps = new_meeting(), np.zeros(LINE * n_threads, np.int64)
    threads, results = start(lambda i: leapfrog(Team(meeting, i, n_threads), steps, rounds), n_threads)
    join(threads)
    assert results == dict.fromkeys(range(n_threads), True)
    np.testing.assert_array_equal(steps[::LINE], rounds)
    assert meeting[ARRIVED] == 0
    assert meeting[ROUND] == (2 * rounds if n_threads > 1 else 0)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_each_ticket_is_drawn_once_between_two_meetings(n_threads):
    n, rounds = 5, 1001
    meeting, counts = new_meeting(), np.zeros((n_threads, n), np.int64)
    join(start(lambda i: draw_all(Team(meeting, i, n_threads), n, rounds, counts), n_threads)[0])
    np.testing.assert_array_equal(counts.sum(axis=0), rounds)


def test_a_waiting_thread_holds_no_lock_of_python():
    meeting = new_meeting()
    threads, results = start(lambda i: meet_once(Team(meeting, i, 2)), 2, first=1)
    threads[0].join(0.05)
    assert results == {}
    assert meet_once(Team(meeting, 0, 2))
    join(threads)
    assert results == {1: True}


@pytest.mark.parametrize("n_threads", [2, 3, 4])
def test_abandoned_threads_end(n_threads):
    meeting = new_meeting()
    threads, results = start(lambda i: meet_once(Team(meeting, i, n_threads)), n_threads, first=1)
    threads[0].join(0.05)
    assert results == {}
    meeting[ABANDONED] = 1
    join(threads)
    assert results == dict.fromkeys(range(1, n_threads), False)


@pytest.mark.parametrize("n_threads", [2, 4])
def test_threads_that_come_after_the_team_was_abandoned_end_too(n_threads):
    meeting = new_meeting()
    meeting[ABANDONED] = 1
    threads, results = start(lambda i: meet_once(Team(meeting, i, n_threads)), n_threads, first=1)
    join(threads)
    assert results == dict.fromkeys(range(1, n_threads), False)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("unit", [1, 4, 8, 16])
def test_slices_follow_each_other_cut_between_units(unit, n_threads):
    for n in (*range(70), 128, 1000, 1009):
        end, units = 0, []
        for thread in range(n_threads):
            first, length = slice_of(n, unit, Team(new_meeting(), thread, n_threads))
            assert first == end
            assert length >= 0
            assert first % unit == 0 or first == n
            end += length
            units.append(-(-length // unit))
        assert end == n
        assert max(units) - min(units) <= 1


def shares(rows, columns, height, width, n_threads):
    return [share(rows, columns, height, width, Team(new_meeting(), i, n_threads)) for i in range(n_threads)]


SIZES = (1, 7, 8, 9, 10, 16, 30, 33, 64, 100, 129)


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4, 8])
@pytest.mark.parametrize(("height", "width"), [(8, 16), (8, 8), (4, 8), (4, 2)])
def test_shares_cover_every_number_once(height, width, n_threads):
    for rows, columns in product(SIZES, SIZES):
        times = np.zeros((rows, columns), int)
        for s in shares(rows, columns, height, width, n_threads):
            times[s.row : s.row + s.rows, s.column : s.column + s.columns] += 1
        assert np.all(times == 1)


@pytest.mark.parametrize("n_threads", [2, 3, 4])
def test_shares_are_cut_between_whole_vectors_or_whole_tiles(n_threads):
    for rows, columns in product(SIZES, SIZES):
        for s in shares(rows, columns, 8, 16, n_threads):
            assert s.row % 8 == 0 or s.row == rows
            assert s.column % 16 == 0 or s.column == columns
            assert s.rows == rows or s.columns == columns


@pytest.mark.parametrize("n_threads", [2, 3, 4])
def test_columns_are_shared_where_no_thread_then_does_an_eighth_more_than_the_mean(n_threads):
    for vectors in range(1, 60):
        busiest = -(-vectors // n_threads)
        even = busiest <= vectors / n_threads * 9 / 8
        assert all(s.rows == 64 for s in shares(64, vectors * 16, 8, 16, n_threads)) == even


@pytest.mark.parametrize("n_threads", [2, 3, 4, 8])
@pytest.mark.parametrize(("height", "width"), [(8, 16), (8, 8), (4, 2)])
def test_tickets_stand_for_every_number_once(height, width, n_threads):
    """In whole vectors and tiles; the last are smaller, down to nothing where there are few rows."""
    crew = Team(new_meeting(), 0, n_threads)
    for rows, columns in product(SIZES, (2 * width * 2 * n_threads, 1000, 1009)):
        tickets = tickets_of(columns, tuning.TICKETS_PAY, width, crew)
        panels = -(-columns // (2 * width))
        assert tickets == panels + (tuning.PIECES - 1) * n_threads
        times, cut = np.zeros((rows, columns), int), Division(rows, columns, height, width, tickets, False)
        for ticket in range(tickets):
            s = share_of_ticket(cut, ticket, crew)
            times[s.row : s.row + s.rows, s.column : s.column + s.columns] += 1
            assert s.row % height == 0 or s.row == rows
            assert s.column % (2 * width) == 0
            assert (s.rows == rows) or ticket >= panels - n_threads
            assert s.rows <= -(-rows // height // tuning.PIECES) * height or ticket < panels - n_threads
        assert np.all(times == 1)


@kernel
def count_shares(times, cut, team):
    """Add 1 to each number of a matrix that this thread gets, and return how many shares it got."""
    shares = 0
    more, mine = first_share(cut, team)
    while more:
        shares += 1
        times[mine.row : mine.row + mine.rows, mine.column : mine.column + mine.columns] += 1
        more, mine = next_share(cut, team)
    return shares


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4])
@pytest.mark.parametrize("way", ["tickets", "a share each", "rows"])
def test_a_loop_over_shares_gets_every_number_once(way, n_threads):
    for rows, columns in product((*SIZES, 0), (1000, 1009)):
        crew = [Team(new_meeting(), thread, n_threads) for thread in range(n_threads)]
        if way == "rows":
            cut = division_by_rows(rows, columns, 16)
        else:
            weights = tuning.TICKETS_PAY if way == "tickets" else 1
            cut = division(rows, columns, weights, False, 16, crew[0])
        times, meeting = np.zeros((rows, columns), np.int64), crew[0].meeting
        shares = [count_shares(times, cut, thread._replace(meeting=meeting)) for thread in crew]
        assert np.all(times == 1)
        if way == "tickets" and n_threads > 1:  # one thread after the other: the first one gets everything
            assert shares == [cut.tickets, *[0] * (n_threads - 1)]
        else:
            assert shares == [1] * n_threads


def test_tickets_are_drawn_by_teams_for_many_weights_and_parts():
    crew = Team(new_meeting(), 0, 2)
    assert tickets_of(4 * 32, tuning.TICKETS_PAY, 16, crew) > 0
    assert tickets_of(4 * 32, tuning.TICKETS_PAY - 1, 16, crew) == 0
    assert tickets_of(3 * 32, tuning.TICKETS_PAY, 16, crew) == 0
    assert tickets_of(4 * 32, tuning.TICKETS_PAY, 16, Team(new_meeting(), 0, 1)) == 0
