"""The integers that stand for names inside kernels, and the records in which arguments travel.

L is the number of layers, n_l the size of a layer, p_l its padded width. s is the number of rows in a block: the
samples of a batch that are in the workspace at once.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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
# stored. The others store gradients in Buffers.gradients. AFTER_BATCH: the optimizer then moves the parameters.
# BY_OTHERS: the gradients of Step.part wait for those of other processes. NEVER: they are the result.
AT_ONCE, AFTER_BATCH, BY_OTHERS, NEVER = range(4)

# Places in Progress.position
EPOCH, SAMPLE = range(2)

# Places in Team.meeting, each on a cache line of its own
ARRIVED, ROUND, ABANDONED, TICKET, NAPS, LAST_BLOCK, MEETING_SIZE = 0, 8, 16, 24, 32, 40, 48


class Objective(NamedTuple):
    """A loss in numbers."""

    code: int
    parameter: tuple[float, ...] = (0.0,)  # one for each output, or one for all
    label_off: float = 0.0
    label_on: float = 1.0
    foreign: int = 0


class Plan(NamedTuple):
    """A network, and the places of a block in Buffers.work. All networks share one type, so one compilation a dtype."""

    layers: npt.NDArray[np.int64]  # (L · LAYER_FIELDS,) the layers' records, in order
    loss: int
    use_bias: bool
    zeros: int  # two vectors
    targets: int  # (s, p_L) y
    mask: int  # (HEIGHT, p_L) 1 for each output, 0 in the padding
    parameter: int  # (HEIGHT, p_L) the parameter of the loss for each output
    weights: int  # (s, p_L) the weight of each sample, repeated in its row
    label_off: float  # the target of the classes that a label isn't
    label_on: float  # the target of the class that it is
    dropout: npt.NDArray[np.float64]  # (L,) the rate of each layer
    foreign: int  # the address of a user's own loss
    packed: int  # A of a product, packed by wide.py


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
    width: int  # p, the distance between rows of a and of delta
    theta: int  # the place of Θˡ, n rows of p_{l+1}, and bˡ, one more row, in Buffers.parameters and .gradients
    a: int  # (s, p)
    delta: int  # (s, p)
    mirror: int  # (p_{l+1}, p) Θˡ, not transposed
    activation: int
    slope: int  # (s, p) f′(z) if it is stored, else 0


LAYER_FIELDS = len(Layer._fields)


class Buffers(NamedTuple):
    """The memory for kernels. It is allocated once, before the first epoch, and starts with zeros."""

    parameters: npt.NDArray[np.floating]  # Θˡ and bˡ of all layers
    gradients: npt.NDArray[np.floating]  # ∂J/∂Θˡ and ∂J/∂bˡ, same layout
    work: npt.NDArray[np.floating]  # one block; Plan has the places
    losses: npt.NDArray[np.float64]  # (s / HEIGHT,) sums of losses, each over HEIGHT samples


class Memory(NamedTuple):
    """What an optimizer remembers from batch to batch."""

    first: npt.NDArray[np.floating]  # in the layout of the parameters, or (0,)
    second: npt.NDArray[np.floating]
    sums: npt.NDArray[np.float64]  # (2 · chunks,) for each chunk, Σ g² and the penalty
    steps: npt.NDArray[np.int64]  # (1,) number of batches so far


class Data(NamedTuple):
    """The samples. Targets or labels are empty; both are if there is nothing to compare with."""

    X: npt.NDArray[np.floating]  # (n, n_1)
    targets: npt.NDArray[np.floating]  # (n, n_L) or (0, n_L)
    labels: npt.NDArray[np.int64]  # (n,) class numbers, or (0,)
    order: npt.NDArray[np.int64]  # (n,) for shuffling; (epochs · n,) given; or (0,) for the order of X
    weights: npt.NDArray[np.floating]  # (n,) of the samples, or (0,) if all are 1
    weight: float  # their sum
    shuffles: bool  # whether each epoch shuffles and writes the order


class Machine(NamedTuple):
    """Plan and Buffers by their addresses. Kernels pass it on, because Numba counts the references to arrays."""

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
    entries: int  # of the order; n if there is none


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
    rates: npt.NDArray[np.float64]  # η of each batch, epoch after epoch; the last one is also for later batches
    seed: int  # uint64, for dropout
    batch_size: int
    block: int  # s
    alpha: float = 0.0  # the sum of a batch's losses has the penalty ½ alpha Σ Θ², as in scikit-learn: alpha / m in J
    ends: int = AFTER_BATCH  # right for every step; the others are what the Engine knows to ask for
    part: Part = Part()


class Rates(NamedTuple):
    """Step.rates by its address."""

    at: Any
    last: int  # the index of the last one


class Dropping(NamedTuple):
    """The place of a block among all batches, from which dropout draws."""

    active: bool
    batch: int  # from 0
    row: int  # the block's first sample in the batch
    seed: int  # uint64


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

    position: npt.NDArray[np.int64]  # (2,) epochs finished, and samples seen in the current one
    random: npt.NDArray[np.uint64]  # (1,) the state for shuffling
    losses: npt.NDArray[np.float64]  # (epochs,) the mean loss of each epoch; for the current one the sum so far


class Many(NamedTuple):
    """What each of k networks with the same plan has of its own."""

    parameters: npt.NDArray[np.floating]  # (k, size) as in Buffers
    rates: npt.NDArray[np.float64]  # (k, 1) η
    positions: npt.NDArray[np.int64]  # (k, 2), and so on, like Progress
    randoms: npt.NDArray[np.uint64]
    losses: npt.NDArray[np.float64]


class Team(NamedTuple):
    """One of the threads that run a kernel together."""

    meeting: npt.NDArray[np.int64]  # (MEETING_SIZE,) shared by all
    thread: int
    n_threads: int


class Operand(NamedTuple):
    """A matrix in memory: element (i, j) is i·row + j·step numbers behind the pointer `at`."""

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
