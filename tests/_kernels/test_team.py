"""Threads that meet, and the division of work among them."""

from __future__ import annotations

import ctypes
import os
from itertools import pairwise, product
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest

from fastbp._engine.team import new_meeting, sleep_function
from fastbp._kernels import codes, levels, team, tuning
from fastbp._kernels.codes import (
    ABANDONED,
    ARRIVED,
    LAST_BLOCK,
    MEETING_SIZE,
    NAP_TIME,
    NAPS,
    ROUND,
    SLEEP,
    TICKET,
    Division,
    Team,
)
from fastbp._kernels.levels import REGISTER
from fastbp._kernels.team import draw, first_share, meet, next_share
from tests._kernels.compiled import kernel

# as Python may call them
share, slice_of = kernel(team.share), kernel(team.slice_of)
share_of_ticket, tickets_of = kernel(team.share_of_ticket), kernel(team.tickets_of)
division, division_by_rows = kernel(team.division), kernel(team.division_by_rows)
keeps_rows = kernel(team.keeps_rows)

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
def test_shares_are_cut_between_whole_cache_lines_or_whole_tiles(n_threads):
    """Two threads that write to one line wait for each other, and a vector may be a part of it."""
    line = 16 * tuning.LINE_VECTORS
    assert line >= levels.LINE // levels.REGISTER * 16
    for rows, columns in product(SIZES, SIZES):
        for s in shares(rows, columns, 8, 16, n_threads):
            assert s.row % 8 == 0 or s.row == rows
            assert s.column % line == 0 or s.column == columns
            assert s.rows == rows or s.columns == columns


@pytest.mark.parametrize("n_threads", [2, 3, 4])
def test_columns_are_shared_where_no_thread_then_does_an_eighth_more_than_the_mean(n_threads):
    for lines in range(1, 60):
        busiest = -(-lines // n_threads)
        even, columns = busiest <= lines / n_threads * 9 / 8, lines * 16 * tuning.LINE_VECTORS
        assert all(s.rows == 64 for s in shares(64, columns, 8, 16, n_threads)) == even


@pytest.mark.parametrize("n_threads", [2, 3, 4, 8])
@pytest.mark.parametrize(("height", "width"), [(8, 16), (8, 8), (4, 2)])
def test_tickets_stand_for_every_number_once(height, width, n_threads):
    """In whole vectors and tiles; the last are smaller, down to nothing where there are few rows."""
    crew, part = Team(new_meeting(), 0, n_threads), tuning.PART_VECTORS * width
    assert tuning.PART_VECTORS in (2, tuning.LINE_VECTORS)
    for rows, columns in product(SIZES, (part * 2 * n_threads, 1000, 1009)):
        tickets, panels = tickets_of(columns, tuning.TICKETS_PAY, width, crew), -(-columns // part)
        if panels < 2 * n_threads:
            assert tickets == 0
            continue
        assert tickets == panels + (tuning.PIECES - 1) * n_threads
        times, cut = np.zeros((rows, columns), int), Division(rows, columns, height, width, tickets, False)
        for ticket in range(tickets):
            s = share_of_ticket(cut, ticket, crew)
            times[s.row : s.row + s.rows, s.column : s.column + s.columns] += 1
            assert s.row % height == 0 or s.row == rows
            assert s.column % part == 0
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
    crew, part = Team(new_meeting(), 0, 2), tuning.PART_VECTORS * 16
    assert tickets_of(4 * part, tuning.TICKETS_PAY, 16, crew) > 0
    assert tickets_of(4 * part, tuning.TICKETS_PAY - 1, 16, crew) == 0
    assert tickets_of(3 * part, tuning.TICKETS_PAY, 16, crew) == 0
    assert tickets_of(4 * part, tuning.TICKETS_PAY, 16, Team(new_meeting(), 0, 1)) == 0


def test_threads_keep_rows_if_they_are_even_and_many_beside_the_weights():
    crew, wide = Team(new_meeting(), 0, 2), tuning.WIDE // REGISTER * 16

    def keep(m, n=64, n_above=64, crew=crew):
        layer, above = (codes.Layer(size, size, 0, 0, 0, 0, 0, 0) for size in (n, n_above))
        return keeps_rows(m, layer, above, 16, crew)

    assert keep(32)
    assert keep(32 * 3 // 2)
    assert not keep(16)  # fewer than a vector for each thread
    assert not keep(5 * tuning.HEIGHT)  # uneven
    assert not keep(32, n=128, n_above=128)  # as many weights take longer than two meetings
    assert keep(128, n=128, n_above=128)
    assert not keep(256, n_above=wide)
    assert not keep(32, crew=Team(new_meeting(), 0, 1))


@pytest.mark.parametrize("time", [0, 10])
def test_who_waits_calls_the_function_that_the_meeting_names(time):
    """0 means that it doesn't sleep. Then the thread spins again before the next call."""
    times, come = [], Event()

    @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_uint32)
    def sleep(time):
        times.append(time)
        come.set()
        return 0

    meeting = new_meeting()
    meeting[SLEEP], meeting[NAP_TIME] = ctypes.cast(sleep, ctypes.c_void_p).value, time
    threads, results = start(lambda i: meet_once(Team(meeting, i, 2)), 2, first=1)
    assert come.wait(20)
    assert meet_once(Team(meeting, 0, 2))
    join(threads)
    assert results == {1: True}
    assert set(times) == {time}


def test_threads_meet_without_any_function_to_sleep():
    meeting = np.zeros(MEETING_SIZE, np.int64)
    threads, results = start(lambda i: meet_once(Team(meeting, i, 2)), 2, first=1)
    threads[0].join(0.05)
    assert results == {}
    assert meet_once(Team(meeting, 0, 2))
    join(threads)
    assert results == {1: True}


def test_windows_lets_other_threads_run_because_its_shortest_sleep_takes_milliseconds(monkeypatch):
    @ctypes.CFUNCTYPE(ctypes.c_int32)
    def switch():
        return 0

    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(ctypes, "WinDLL", lambda name: SimpleNamespace(SwitchToThread=switch), raising=False)
    address, time = sleep_function.__wrapped__()
    assert (address, time) == (ctypes.cast(switch, ctypes.c_void_p).value, 0)


def test_the_places_of_a_meeting_are_on_cache_lines_of_their_own():
    apart = levels.LINE // 8
    places = [ARRIVED, ROUND, ABANDONED, TICKET, NAPS, LAST_BLOCK, SLEEP]
    assert all(b - a >= max(apart, 16) for a, b in pairwise(places))
    assert NAP_TIME == SLEEP + 1 < MEETING_SIZE
