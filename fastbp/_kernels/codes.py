"""The integers that stand for names inside kernels, and the records in which arguments travel.

L is the number of layers, n_l the size of a layer, p_l its padded width. s is the number of rows in a block: the
samples of a batch that are in the workspace at once.
"""

from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt

# What a field of a record holds besides int, float and bool. Python has an array there, kernels have its address, and
# of a run also its size.
Numbers = Annotated[npt.NDArray[Any], "number"]  # of the network's dtype
Integers = Annotated[npt.NDArray[np.int64], "int64"]
Reals = Annotated[npt.NDArray[np.float64], "float64"]
Words = Annotated[npt.NDArray[np.uint64], "uint64"]
NumberRun = Annotated[npt.NDArray[Any], "number", "run"]
IntegerRun = Annotated[npt.NDArray[np.int64], "int64", "run"]
RealRun = Annotated[npt.NDArray[np.float64], "float64", "run"]
WordRun = Annotated[npt.NDArray[np.uint64], "uint64", "run"]
Word = Annotated[int, "uint64"]
Number = Annotated[float, "number"]

APART = "apart_"  # begins the names of functions that are compiled on their own


class Run(NamedTuple):
    """An array in a kernel: a pointer to its first number, and how many they are."""

    at: Any
    size: int


# Activations. For the first four, f′ is computed from a. From LEAKY_RELU on, it is stored in Layer.slope.
IDENTITY, SIGMOID, TANH, RELU, SOFTMAX = range(5)
LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, SILU, MISH, SOFTPLUS, SOFTSIGN, HARD_SIGMOID, HARD_TANH, EXPONENTIAL = range(
    5, 17
)
KEPT = 17  # stands for any of them if f′ was stored

# Losses. The squared error and those from ABSOLUTE_ERROR on are sums over outputs of a function of a and y.
SQUARED_ERROR, CROSS_ENTROPY, BINARY_CROSS_ENTROPY, POISSON = range(4)
ABSOLUTE_ERROR, HUBER, QUANTILE, HINGE, CUSTOM = range(4, 9)

# Optimizers
SGD, MOMENTUM, NESTEROV, RMSPROP, ADAGRAD, ADAM = range(6)

# How a batch ends (Step.ends). AT_ONCE: the parameters descend while the gradients are computed, and no gradient is
# stored. The others store gradients in Machine.gradients. AFTER_BATCH: the optimizer then moves the parameters.
# BY_OTHERS: the gradients of Step.part wait for those of other processes. NEVER: they are the result.
AT_ONCE, AFTER_BATCH, BY_OTHERS, NEVER = range(4)

# Places in Progress.position
EPOCH, SAMPLE = range(2)

# Places in Watch.counts, and what is at the last one: why a training has ended
BEST_EPOCH, WAITED, ENDED = range(3)
GOES_ON, STOPPED, BAD_WEIGHT, BAD_LOSS = range(4)

# Places in Team.meeting, which are on cache lines of their own, also where these have 128 bytes. SLEEP: the address of
# a function that sleeps, or 0. NAP_TIME: its argument; 0 if it only lets another thread run.
ARRIVED, ROUND, ABANDONED, TICKET, NAPS, LAST_BLOCK, SLEEP, NAP_TIME, MEETING_SIZE = 0, 16, 32, 48, 64, 80, 96, 97, 112

# Places in a worker's box, which is one cache line, and the states that the first place holds (workers.py)
STATE, ENTRY, CALL, THREAD, RESULT, BOX_SLEEP, BOX_NAP_TIME, BOX_SIZE = range(8)
SPINS, SLEEPS, TAKEN, POSTED, RUNS, DONE, ENDS, STATES = range(8)
ASLEEP = -1  # what `run_with_workers` returns if a worker isn't awake


class Objective(NamedTuple):
    """A loss in numbers."""

    code: int
    parameter: tuple[float, ...] = (0.0,)  # one for each output, or one for all
    label_off: float = 0.0
    label_on: float = 1.0
    foreign: int = 0


class Machine(NamedTuple):
    """A network, and the memory for a block of samples. It is allocated once, before the first epoch, full of zeros.

    Whole numbers without another meaning are places in `work`.
    """

    layers: Integers  # (L · LAYER_FIELDS,) the layers' records, in order
    depth: int  # L
    loss: int
    use_bias: bool
    zeros: int  # two vectors
    targets: int  # (s, p_L) y
    mask: int  # (HEIGHT, p_L) 1 for each output, 0 in the padding
    parameter: int  # (HEIGHT, p_L) the parameter of the loss for each output
    weights: int  # (s, p_L) the weight of each sample, repeated in its row
    label_off: float  # the target of the classes that a label isn't
    label_on: float  # the target of the class that it is
    dropout: Reals  # (L,) the rate of each layer
    foreign: int  # the address of a user's own loss
    packed: int  # A of a product, packed by wide.py
    work_apart: int  # how far apart the workspaces of the parts of a block are, or 0
    gradients_apart: int  # the same for their gradients
    parameters: Numbers  # Θˡ and bˡ of all layers
    gradients: Numbers  # ∂J/∂Θˡ and ∂J/∂bˡ, same layout; or (0,)
    work: Numbers  # one block; for a Step with parts, a workspace for each of them
    losses: Reals  # (s / HEIGHT,) sums of losses, each over HEIGHT samples


class Layer(NamedTuple):
    """A row of Machine.layers."""

    n: int
    width: int  # p, the distance between rows of a and of delta
    theta: int  # the place of Θˡ, n rows of p_{l+1}, and bˡ, one more row, in Machine.parameters and .gradients
    a: int  # (s, p)
    delta: int  # (s, p)
    mirror: int  # (p_{l+1}, p) Θˡ, not transposed; behind it, δˡ⁺¹ and δˡ transposed, for threads that keep rows
    activation: int
    slope: int  # (s, p) f′(z) if it is stored, else 0


LAYER_FIELDS = len(Layer._fields)


class Memory(NamedTuple):
    """What an optimizer remembers from batch to batch."""

    first: Numbers  # in the layout of the parameters, or (0,)
    second: Numbers
    sums: Reals  # (2 · chunks,) for each chunk, Σ g² and the penalty
    steps: Integers  # (1,) number of batches so far


ALL_ROWS: npt.NDArray[np.int64] = np.empty(0, np.int64)


class Data(NamedTuple):
    """The samples. Targets or labels are empty; both are if there is nothing to compare with."""

    X: Numbers  # (n, n_1)
    targets: NumberRun  # (n, n_L) or (0, n_L)
    labels: IntegerRun  # (n,) class numbers, or (0,)
    order: IntegerRun  # (n,) for shuffling, or for every epoch; (epochs · n,) given; or (0,) for the order of X
    weights: NumberRun  # (n,) of the samples, or (0,) if all are 1
    weight: float  # their sum
    shuffles: bool  # whether each epoch shuffles and writes the order
    n: int
    chosen: IntegerRun = ALL_ROWS  # (n,) the rows of X that are the samples, or (0,) if all are


class Rule(NamedTuple):
    """An optimizer in numbers."""

    code: int
    decay_1: float  # momentum, or β₁
    decay_2: float  # β₂, or ρ
    epsilon: float
    weight_decay: float  # decoupled: Θ ← Θ − η · weight_decay · Θ


class Bounds(NamedTuple):
    """Penalties, and bounds on gradients and parameters; infinity means no bound."""

    l1: float
    l2: float
    clip_value: float
    clip_norm: float
    max_norm: float


class Part(NamedTuple):
    """The rows of a batch that this process has, if others have the rest; read if Step.ends is BY_OTHERS."""

    first: int = 0  # in the epoch's order
    stop: int = 0  # one behind the last
    row: int = 0  # the place of `first` in the whole batch
    weight: float = 0.0  # of all samples of the whole batch


class Step(NamedTuple):
    """How the parameters move."""

    rule: Rule
    bounds: Bounds
    rates: RealRun  # η of each batch, epoch after epoch; the last one is also for later batches
    seed: Word  # for dropout
    batch_size: int
    block: int  # s
    alpha: float = 0.0  # the sum of a batch's losses has the penalty ½ alpha Σ Θ², as in scikit-learn: alpha / m in J
    ends: int = AFTER_BATCH  # right for every step; the others are what the Engine knows to ask for
    parts: int = 1  # how many parts of a block are computed apart, each by one thread, up to their gradients
    part: Part = Part()


class Dropping(NamedTuple):
    """The place of a block among all batches, from which dropout draws."""

    active: bool
    batch: int  # from 0
    row: int  # the block's first sample in the batch
    seed: Word


class Outputs(NamedTuple):
    """Pointers to what lies in rows like those of zᴸ. Mask and parameter have HEIGHT rows, which serve for all."""

    targets: Any
    delta: Any
    slope: Any
    mask: Any
    weights: Any
    weighted: Any  # if not, weights is the mask
    parameter: Any


class Progress(NamedTuple):
    """How far training is. A call can end after any block, and the next call continues."""

    position: Integers  # (2,) epochs finished, and samples seen in the current one
    random: Words  # (1,) the state for shuffling
    losses: RealRun  # (epochs,) the mean loss of each epoch; for the current one the sum so far


class Start(NamedTuple):
    """What training changes, as it was at the start of an epoch."""

    parameters: NumberRun
    first: NumberRun  # of Memory, or (0,)
    second: NumberRun
    steps: Integers
    random: Words


class Watch(NamedTuple):
    """A validation after each epoch, and when it ends the training. Without losses there is none."""

    rows: Data  # the samples that validate; the workspace has room for BLOCK of them
    weight: Reals  # (1,) Data.weight; from memory, or LLVM would multiply by its reciprocal, which rounds otherwise
    losses: RealRun  # (epochs,) the loss after each epoch, or (0,)
    best: Reals  # (1,) the least loss so far
    counts: Integers  # (3,) the epoch that had it, how many epochs have passed since, and why the training has ended
    patience: int  # epochs without improvement that end the training
    min_delta: float  # how much less than the best a loss must be
    parameters: NumberRun  # those of the best epoch, if they are stored, or (0,)
    start: Start


class Many(NamedTuple):
    """What each of k networks of the same architecture has of its own."""

    parameters: NumberRun  # (k, size) as in Machine
    rates: RealRun  # (k, 1) η
    seeds: WordRun  # (k, 1) for dropout
    first: NumberRun  # (k, size) as in Memory, or (0,)
    second: NumberRun
    steps: IntegerRun  # (k, 1)
    positions: IntegerRun  # (k, 2), and so on, like Progress
    randoms: WordRun
    losses: RealRun


class Team(NamedTuple):
    """One of the threads that run a kernel together."""

    meeting: Integers  # (MEETING_SIZE,) shared by all
    thread: int
    n_threads: int


class Operand(NamedTuple):
    """A matrix in memory: element (i, j) is i·row + j·step numbers behind the pointer `at`."""

    at: Numbers
    row: int
    step: int


class Extent(NamedTuple):
    """C is (rows, columns), A is (rows, inner), B is (inner, columns)."""

    rows: int
    columns: int
    inner: int


class Factor(NamedTuple):
    """A of a product as tiles read it: an Operand as it is, or what wide.py has packed in Machine.packed."""

    at: Any
    row: int
    step: int
    packed: bool
    shared: bool  # whether the threads have packed it together
    beyond: int  # how many columns of B lie between those of a ticket and the next one of the same thread; 0 if none


class Ask(NamedTuple):
    """Rows of an operand that are prefetched."""

    at: Any
    row: int  # how many numbers apart they are
    rows: int


class Division(NamedTuple):
    """How a team divides a matrix: into one share for each thread, or into more that are drawn by ticket."""

    rows: int
    columns: int
    height: int  # rows of a tile: rows are cut between whole tiles only
    width: int  # of a vector: columns are cut between whole vectors only
    tickets: int  # 0: one share for each thread
    by_rows: bool  # whether each share has all columns


class Share(NamedTuple):
    """A thread's part of a matrix."""

    row: int
    rows: int
    column: int
    columns: int
