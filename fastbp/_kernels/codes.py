"""The integers that stand for names inside kernels, and the records in which arguments travel.

L is the number of layers, n_l a layer's size, p_l its padded width, s the rows of a block: the samples of a batch that
are in the workspace at once.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

# Activations. f′ of the first four comes from a; of those from LEAKY_RELU on it is kept beside a (Layer.slope).
IDENTITY, SIGMOID, TANH, RELU, SOFTMAX = range(5)
LEAKY_RELU, ELU, SELU, GELU, GELU_TANH, SILU, MISH, SOFTPLUS, SOFTSIGN, HARD_SIGMOID, HARD_TANH, EXPONENTIAL = range(
    5, 17
)
KEPT = 17  # in Layer.slopes: f′ is what was kept

# Losses; those from ABSOLUTE_ERROR on, like the squared error, are sums over outputs of a function of a and y
SQUARED_ERROR, CROSS_ENTROPY, BINARY_CROSS_ENTROPY, POISSON = range(4)
ABSOLUTE_ERROR, HUBER, QUANTILE, HINGE, CUSTOM = range(4, 9)

# Optimizers
SGD, MOMENTUM, NESTEROV, RMSPROP, ADAGRAD, ADAM = range(6)

# How a batch ends (Step.ends). AT_ONCE: the parameters descend while the gradients are computed, and no gradient is
# stored. The others store gradients in Buffers.gradients. AFTER_BATCH: the optimizer then moves the parameters.
# BY_OTHERS: the gradients of Step.part wait for those of other processes. NEVER: they are the result.
AT_ONCE, AFTER_BATCH, BY_OTHERS, NEVER = range(4)

# Places in Progress.position
EPOCH, SAMPLE = range(2)

# Places in Team.meeting, a cache line apart
ARRIVED, ROUND, ABANDONED, TICKET, NAPS, LAST_BLOCK, MEETING_SIZE = 0, 8, 16, 24, 32, 40, 48


class Objective(NamedTuple):
    """A loss in numbers."""

    code: int
    parameter: tuple[float, ...] = (0.0,)  # one for each output, or one for all
    label_off: float = 0.0
    label_on: float = 1.0
    foreign: int = 0


class Plan(NamedTuple):
    """What a network is, and where in Buffers.work a block of it lies; one record type, so one compilation a dtype."""

    layers: npt.NDArray[np.int64]  # (L · LAYER_FIELDS,) a Layer after the other
    loss: int
    use_bias: bool
    zeros: int  # two vectors
    targets: int  # (s, p_L) y
    mask: int  # (HEIGHT, p_L) 1 at every output, 0 in the padding
    parameter: int  # (HEIGHT, p_L) the loss's, for each output
    weights: int  # (s, p_L) each sample's weight, in all of its row
    label_off: float  # what a class number is in y for the classes that aren't meant
    label_on: float  # and for the one that is
    dropout: npt.NDArray[np.float64]  # (L,) each layer's rate
    foreign: int  # address of a user's own loss
    packed: int  # A of a wide layer's product, as wide.py has it


class Head(NamedTuple):
    """The whole numbers of a Plan that stand before its layers if it is in arrays; the names are those of Plan."""

    loss: int
    use_bias: int
    zeros: int
    targets: int
    mask: int
    parameter: int
    weights: int
    foreign: int
    packed: int


class LabelValues(NamedTuple):
    """The numbers of a Plan that stand before its dropout rates if it is in arrays."""

    label_off: float
    label_on: float


HEAD_FIELDS, LABEL_FIELDS = len(Head._fields), len(LabelValues._fields)


def in_arrays(plan: Plan) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return a plan as two arrays, which `addresses.machine_of` reads: a Head and the layers, LabelValues and rates."""
    head, labels = ([getattr(plan, name) for name in kind._fields] for kind in (Head, LabelValues))
    return np.array([*head, *plan.layers]), np.array([*labels, *plan.dropout])


class Layer(NamedTuple):
    """A row of Plan.layers."""

    n: int
    width: int  # p, how far apart the rows of a and delta lie
    theta: int  # of Θˡ, n rows of p_{l+1}, and bˡ, one more, in Buffers.parameters and .gradients
    a: int  # (s, p)
    delta: int  # (s, p)
    mirror: int  # Θˡ as the method writes it: (p_{l+1}, p)
    activation: int
    slope: int  # (s, p) f′(z), where it is kept; else 0


LAYER_FIELDS = len(Layer._fields)


# The tasks of small.py. Squares, rows of Θ and biases are offsets in the workspace or in the parameters. A step is
# what lies between a group of samples and the next one, for each sample (…_step) or for the whole group (step).


class GatherTask(NamedTuple):
    """Copy some features of a group of samples into a square of a¹, or their targets into one of y."""

    square: int
    sample: int  # the first one in the batch
    feature: int  # the first one
    features: int  # from there on


class ForwardTask(NamedTuple):
    """Compute a square of a = f(z) from all of the layer below."""

    z: int  # the square
    a: int  # the first square of the layer below
    theta: int  # the first weights to these units, in the first row
    row: int  # p of the layer, how far apart rows of Θ lie
    n: int  # units below
    bias: int
    activation: int
    step: int  # of a


class OutputTask(NamedTuple):
    """Compute a square of δᴸ."""

    delta: int
    z: int
    targets: int
    sample: int  # the first one in the batch
    units: int  # from the first one in the square on


class BackwardTask(NamedTuple):
    """Compute a square of δ from all of δ of the layer above."""

    delta: int
    a: int  # the square of the same units
    theta: int  # the first of the rows from these units
    row: int  # p of the layer above, how far apart rows of Θ lie
    units: int  # from the first one in the square on
    incoming: int  # the first square of δ above
    n: int  # units above
    activation: int
    step: int  # of a and δ


class WeightTask(NamedTuple):
    """Descend with SIDE by SIDE weights."""

    theta: int
    row: int  # how far apart rows of Θ lie
    rows: int  # from the first one on
    a: int  # the first square
    a_step: int
    delta: int  # the first square
    delta_step: int


class BiasTask(NamedTuple):
    """Descend with SIDE biases."""

    bias: int
    delta: int  # the first square
    delta_step: int


TASK_FIELDS = len(BackwardTask._fields)  # of the longest; lists of tasks have room for so many numbers in each


class Passes(NamedTuple):
    """Tasks, forward and back, of groups of samples: of as many as `squares.beside` says in each task, or of one."""

    forward: Any  # of ForwardTask
    outputs: Any  # of OutputTask
    backward: Any  # of BackwardTask


class Program(NamedTuple):
    """What small.py does to a batch, in lists of tasks."""

    groups: int  # of SIDE samples
    inputs: Any  # of GatherTask
    targets: Any  # of GatherTask
    beside: Passes
    alone: Passes  # of the groups that are left
    weights: Any  # of WeightTask
    biases: Any  # of BiasTask


class Tasks(NamedTuple):
    """A list of Program by its address."""

    at: Any
    count: int


class Buffers(NamedTuple):
    """Where the kernels read and write; allocated once, before the first epoch, and zero at first."""

    parameters: npt.NDArray[np.floating]  # Θˡ and bˡ of all layers
    gradients: npt.NDArray[np.floating]  # ∂J/∂Θˡ and ∂J/∂bˡ, same layout
    work: npt.NDArray[np.floating]  # what belongs to one block, as Plan says
    losses: npt.NDArray[np.float64]  # (s / HEIGHT,) sums of the losses of HEIGHT samples


class Memory(NamedTuple):
    """What an optimizer keeps from batch to batch."""

    first: npt.NDArray[np.floating]  # as the parameters, or (0,)
    second: npt.NDArray[np.floating]
    sums: npt.NDArray[np.float64]  # (2 · chunks,) of squares of the gradient, and of penalties, by chunks
    steps: npt.NDArray[np.int64]  # (1,) batches so far


class Data(NamedTuple):
    """The samples; of targets and labels one is empty, or both where there is nothing to compare with."""

    X: npt.NDArray[np.floating]  # (n, n_1)
    targets: npt.NDArray[np.floating]  # (n, n_L) or (0, n_L)
    labels: npt.NDArray[np.int64]  # (n,) class numbers, or (0,)
    order: npt.NDArray[np.int64]  # (n,) written by every epoch's shuffle; (epochs · n,) given; or (0,): the order of X
    weights: npt.NDArray[np.floating]  # (n,) of the samples, or (0,): all 1
    weight: float  # their sum
    shuffles: bool  # whether order is written by every epoch's shuffle


class Machine(NamedTuple):
    """Plan and Buffers by their addresses, as inner kernels pass them on: arrays cost more to pass, and are counted."""

    layers: Any
    depth: int  # L
    loss: int
    use_bias: bool
    zeros: int
    targets: int
    mask: int
    parameter: int
    weights: int
    label_off: float
    label_on: float
    dropout: Any
    foreign: int
    packed: int
    parameters: Any
    gradients: Any
    work: Any
    losses: Any


class Samples(NamedTuple):
    """Data by its addresses."""

    X: Any
    targets: Any
    labels: Any
    order: Any
    n: int
    has_targets: bool
    has_labels: bool
    ordered: bool
    weights: Any
    weighted: bool
    weight: float
    shuffles: bool
    entries: int  # of the order; n where there is none


class Moments(NamedTuple):
    """Memory by its addresses."""

    first: Any
    second: Any
    sums: Any


class Rule(NamedTuple):
    """An optimizer in numbers."""

    code: int
    decay_1: float  # momentum, or β₁
    decay_2: float  # β₂, or ρ
    epsilon: float
    weight_decay: float  # decoupled: Θ ← Θ − η · weight_decay · Θ


class Bounds(NamedTuple):
    """What holds the parameters and their gradients back; infinity where nothing does."""

    l1: float
    l2: float
    clip_value: float
    clip_norm: float
    max_norm: float


class Part(NamedTuple):
    """The rows of a batch that this process has, if others have the rest; read if Step.ends is BY_OTHERS."""

    first: int = 0  # in the epoch's order
    stop: int = 0  # behind the last
    row: int = 0  # of `first` in the whole batch
    weight: float = 0.0  # of the whole batch's samples


class Step(NamedTuple):
    """How the parameters move."""

    rule: Rule
    bounds: Bounds
    rates: npt.NDArray[np.float64]  # η of each batch, epoch after epoch; the last one's goes on
    seed: int  # uint64, of dropout
    batch_size: int
    block: int  # s
    alpha: float = 0.0  # the sum of a batch's losses has the penalty ½ alpha Σ Θ², as in scikit-learn: alpha / m in J
    ends: int = AFTER_BATCH  # right for every step; the others are what the Engine knows to ask for
    part: Part = Part()


class Rates(NamedTuple):
    """A step's rates by their address."""

    at: Any
    last: int  # the index of the last one


class Dropping(NamedTuple):
    """Where dropout is, in the order of all batches."""

    active: bool
    batch: int  # from 0
    row: int  # the block's first sample in the batch
    seed: int  # uint64


class Outputs(NamedTuple):
    """What lies as the rows of zᴸ do; pointers. Of mask and parameter there are HEIGHT rows, for any others."""

    targets: Any
    delta: Any
    slope: Any
    mask: Any
    weights: Any
    weighted: Any  # or the mask stands in for weights
    parameter: Any


class Progress(NamedTuple):
    """Where training is, so that a call can end anywhere between two blocks and the next one go on."""

    position: npt.NDArray[np.int64]  # (2,) epochs finished, samples seen of the running one
    random: npt.NDArray[np.uint64]  # (1,) state of the shuffling
    losses: npt.NDArray[np.float64]  # (epochs,) mean loss of each epoch; of the running one the sum so far


class Many(NamedTuple):
    """Of k networks that one plan fits, what each has of its own."""

    parameters: npt.NDArray[np.floating]  # (k, size) as in Buffers
    rates: npt.NDArray[np.float64]  # (k, 1) η
    positions: npt.NDArray[np.int64]  # (k, 2), and so on, as in Progress
    randoms: npt.NDArray[np.uint64]
    losses: npt.NDArray[np.float64]


class Team(NamedTuple):
    """A thread among those that run one kernel together."""

    meeting: npt.NDArray[np.int64]  # (MEETING_SIZE,) shared by all
    thread: int
    n_threads: int


class Operand(NamedTuple):
    """A matrix in memory: element (i, j) lies i·row + j·step numbers behind the pointer `at`."""

    at: Any
    row: int
    step: int


class Extent(NamedTuple):
    """C is (rows, columns), A is (rows, inner), B is (inner, columns)."""

    rows: int
    columns: int
    inner: int


class Factor(NamedTuple):
    """A of a product as tiles read it: an Operand as it is, or what wide.py has packed at Plan.packed."""

    at: Any
    row: int
    step: int
    packed: bool


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
