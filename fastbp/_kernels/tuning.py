"""The constants that are tuned for speed, each with the measurement that set it, or with what it balances.

Results depend on them by rounding at most. The figures come from one server core with AVX-512 unless a line says
otherwise; `bench/LOG.md` has the notes. A tile is the part of a matrix product that stays in registers: so many rows
of C by two vectors. A step is one step of its inner loop.
"""

from .levels import LEVEL, REGISTER

# The register tile (tile.py)
HEIGHT = 8 if LEVEL.registers == 32 else 4  # rows: with the vectors of a step, they fill the registers
TALL = HEIGHT * 3 // 2  # rows of the tallest: 1.03 to 1.08 times as fast as HEIGHT rows, with AVX2 up to 1.18
MIDDLE = HEIGHT * 5 // 4  # rows of another, which takes a batch of ten at once: 784-30-10 needs 5 % less time
LOW = HEIGHT // 2  # rows of another, for what is left over: lower tiles wait for their loads at each step
FAR = 2048  # bytes in a row from which on rows are prefetched, because the hardware doesn't look half a page ahead

# Wide layers (wide.py): packing takes 2 to 3 % of the time and makes products of 256 × 1024 × 1024 1.15 times as fast
WIDE = 16 * REGISTER  # bytes in a row of B from which on packing may pay; with AVX2, 512 are 1.1 times as fast as 1024
LARGE = 1 << 16  # bytes of A from which on it has left the first cache (32 or 48 KB) when the next columns need it
MANY = 64  # steps from which on packing may pay: with fewer, the copy takes too large a share of the time
AHEAD = 8  # steps by which B is prefetched: 121 GFLOP/s instead of 99 beside a busy half of the core
DEEP = 256  # steps whose rows of B and A the first cache holds: 2048-2048-2048-10 1.13 times as fast as with 512
ALONE = 1 << 17  # bytes up to which each thread packs A for itself: 256 × 8-10 needs 6 % less time with two threads
PACKERS = 4  # threads up to which they do so: there is memory for so many copies
BESIDE = 8  # tiles whose columns are copied together, because tiles that are neighbours share cache lines

# Few rows (few.py)
FEW = 4  # rows up to which the product goes along the rows of B
BROAD = 16  # vectors in a row from which on it does: one row of 1024 × 1024 1.2 times as fast, of 784 × 128 1.03

# Mirrors (mirrors.py)
MIRROR_SAVES = 5  # a mirror leads if it needs a fifth fewer registers, which pays for transposing it back

# Sums over all parameters (updates.py)
CHUNK = 256  # numbers in a part of a sum: whole vectors of any register, and enough parts for a team

# Teams (team.py)
LINE_VECTORS = LEVEL.line // LEVEL.register  # vectors of a cache line: two threads that write to one are slow
PART_VECTORS = max(2, LINE_VECTORS)  # columns of a ticket: a tile's, and whole cache lines
UNEVEN = 8  # columns are shared out if the busiest thread has at most an eighth more of them than the mean
MEETING_NUMBERS = 6400  # numbers that cross between two cores in the time of four meetings
TICKETS_PAY = 1 << 17  # weights, half a megabyte of float32, from which on they don't stay in a core's cache anyway
PIECES = 4  # tickets for each of the last parts: wide layers 1.02 times as fast as with whole parts
SPINS = 20000  # pauses, 80 to 900 µs, before a nap: longer than a nap (60 µs), or two threads would nap in turns
PATIENCE = 200  # naps, 50 ms, after which a call ends, so that Python can choose another number of threads
LINGER = 8000  # pauses, 100 to 400 µs, for which a worker waits for its next call before it sleeps

# Parts of a block (layout.py)
PARTS = ((4, 256), (2, 64))  # how many, and from how many rows on: with more, a single thread is 3 % slower
FEW_PARAMETERS = 2  # numbers that the layers of a block must have for each parameter, so that parts pay

# Calls of the kernels
BLOCK = 256  # rows of a block, which takes at most 0.1 s; a batch of up to twice as many rows is one block in training
CALL_MULTIPLICATIONS = 5e8  # in one call over rows, 10 ms, so that Ctrl-C works
UPDATE_PAYS = 1 << 22  # bytes of parameters from which on an update takes long beside the start of a team, up to 100 µs

# Which kernel trains a network (layout.py, online.py)
SMALL_WIDTH, SMALL = 20, 300  # the widest layer, and the most weights, with which squares (small.py) beat the tile
# The most weights with which online.py beats the others, for batches of 1, 2, 3 and 4 samples: 784-30-10 with one
# sample 1.2 times as fast as the tile, 64-32-10 with four 1.1, 3-5-1 with one twice as fast as squares
ONLINE_WEIGHTS = (1 << 15, 5000, 3000, 3000)

# Memory
LONG = 2048  # bytes from which on rows have an odd number of cache lines: 106 GFLOP/s instead of 101 at 1024 columns

# How many threads (the first two are for an estimate, which the clock then corrects)
MULTIPLICATIONS_PER_SECOND = 4.5e10  # of one core in float32, for the benchmarks' networks of medium size
MEETING_SECONDS = 3e-7  # of a meeting, for each thread: a cache line takes 50 to 250 ns there and back
START_PAYS = 3e-4  # seconds of work from which on a team pays, whose workers may sleep (50 µs) or not exist (100 µs)
ROWS_PAY = 4_000_000  # multiplications, 0.1 ms, from which on another thread for rows pays if it must be woken, 50 µs
AWAKE_PAY = 1_000_000  # the same if it is awake: it starts in a few microseconds
SOON_AFTER = 1e-4  # seconds after a call with several threads in which they are awake
TARDY = 20  # times the estimated time of one thread, after which a prediction of few rows by several was late
LONGEST_REST = 4.0  # seconds after late predictions in which one thread predicts few rows; the shortest rest is LATE
REMEMBERED = 5  # calls for each number of threads: their median ignores two disturbed ones, and is soon up to date
TRIAL_SECONDS = 4e-3  # the longest estimated time of a trial: long beside the start of a team, too short to notice
SOON = 0.05  # seconds of training between trials, because the speed of a core changes by the second
LATE = 0.25  # the same after clear failures
TRIAL_SHARE = 0.05  # the largest share of the time for trials
SHORT = 3e-4  # seconds; calls that are shorter measure the start of the team
