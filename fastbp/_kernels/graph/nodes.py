"""The operations of a network of layers, and the records in which they reach the kernels.

An operation reads the tensor `a_in` and writes `a_out`, both of (s, width) with one row for each sample of a block.
Backward, it reads ∂J/∂a_out and computes ∂J/∂a_in and the gradients of its parameters. The first tensor is X.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import codes
from ..codes import Integers, NumberRun, RealRun, Reals

# Operations. In the formulas x is a row of a_in, y of a_out, δ of ∂J/∂y.
AFFINE = 0  # y = x Θᵀ + b
ACTIVATE = 1  # y = f(x), in place; with α, y = x + α (f(x) − x); then dropout
ADD = 2  # y = y + x, in place in y: the end of a residual block, whose beginning is x
COPY = 3  # y = x: the beginning of a residual block that would change x in place
SCALE = 4  # y = s ⊙ x
LAYER_NORM = 5  # y = γ ⊙ x̂ + β, x̂ = (x − mean of the row) / √(variance of the row + ε)
BATCH_NORM = 6  # the same with the mean and variance of each column, over the samples of the batch
NUMBERS = 7  # columns of y = columns of X
EMBED = 8  # columns of y = row number x of a table
PBLD = 9  # for each number x, columns of y = (x, W₂ cos(2π x w₁ + b₁) + b₂)
PERIODIC = 10  # for each number x, columns of y = (sin 2πwx, cos 2πwx)
PIECEWISE = 11  # for each number x, columns of y = clip((x − e_t) / (e_{t+1} − e_t), 0, 1), open at both ends

# How a pass forward treats statistics. PREDICTING: batch norm uses the running ones. The others use those of the batch;
# MEASURING leaves the running ones as they are, LEARNING moves them.
PREDICTING, MEASURING, LEARNING = range(3)

# Losses beside those of the base kernels. A loss of K members has the code of each member's loss + MEMBERS · K.
GAUSSIAN_NLL, NEGATIVE_BINOMIAL = 16, 17
MEMBERS = 32

# What `pull` computes (PullCall.mode): ∂J/∂X; V ∂aᴸ/∂X for each row; ∂aᴸ/∂X
OF_LOSS, OF_VECTORS, OF_OUTPUTS = range(3)


class Node(NamedTuple):
    """An operation. Places are those in Machine.work, except that of the parameters; −1 is no place."""

    op: int
    code: int  # of the activation
    n_in: int  # columns in use
    n_out: int
    in_width: int  # the distance between rows
    out_width: int
    a_in: int  # (s, in_width)
    a_out: int  # (s, out_width)
    d_in: int  # ∂J/∂a_in, or −1 if nothing below needs it
    d_out: int  # ∂J/∂a_out
    adds: bool  # whether ∂J/∂a_in is added to what is at d_in, instead of replacing it
    learns: bool  # whether the gradients of the parameters are needed
    parameters: int  # the index of its first Tensor; the others follow in the order of `_engine.plan`
    n_parameters: int
    mirror: int  # AFFINE: (p_out, p_in) Θ, not transposed
    kept: int  # what the forward pass stores for the backward pass, in rows like those of a_out: f′, or x̂
    kept_too: int  # f(x) − x if there is α
    statistics: int  # LAYER_NORM: (s,) 1/√(variance + ε); BATCH_NORM: (3, width) sums of columns
    first: int  # the first column of X or a_in that is read
    column: int  # the first column of a_out that is written
    n_read: int  # columns of X that are read, one category, or some numbers
    inner: int  # frequencies, or bins
    number: int  # the layer's number in the hash of dropout, as in method.md
    real: int  # the index of its numbers in Graph.reals


NODE_FIELDS = len(Node._fields)

REALS = 2  # numbers in Graph.reals for each operation: (rate of dropout, 0) or (ε, momentum of the running statistics)


class Tensor(NamedTuple):
    """A parameter: `rows` rows of n numbers, `width` apart, from `start` on in Machine.parameters and .gradients."""

    start: int
    rows: int
    n: int
    width: int
    chunk: int  # the index of its first chunk in the sums over all parameters
    learns: bool
    penalized: bool  # whether l1, l2 and max_norm apply: to the weights of AFFINE
    by_row: bool  # whether an update changes only rows that the batch has: a table of embeddings
    touched: int  # by_row: the place of its numbers in Graph.touched


TENSOR_FIELDS = len(Tensor._fields)

# Where numbers of a table that is updated by row begin in Graph.touched: how many rows the batch has, (rows,) them in
# the order of their first samples, and (rows,) the place of each row there, which counts if the row is there
COUNT, TOUCHED = range(2)

# δ Θ comes from Θ as it lies in the parameters, and δ is transposed instead, if a block has at most 1 / TURNS_BELOW as
# many samples as its layers have units. Measured: 512 units, 64 samples.
TURNS_BELOW, TURNS_FROM, TURNS_TO = 4, 128, 2048  # the least and the most units
PIECE_BYTES = 1 << 17  # of a gradient that moves weights while it is in the second cache

FACTORS = 2  # numbers in Graph.factors for each tensor: of η, and of the decay


class Rows(NamedTuple):
    """The rows of a block that a thread has, forward and backward."""

    first: int
    count: int
    m: int  # of all threads


class Moving(NamedTuple):
    """The optimizer's step of a batch."""

    at_once: bool  # whether weights of AFFINE move as soon as their gradients are there, in the cache
    rule: codes.Rule
    eta: float
    decay: float  # the factor of the weight decay
    step: int  # the number of the step, from 1


class Graph(NamedTuple):
    """A network of layers, beside its Machine, whose layers are only the first and the last tensor."""

    nodes: Integers  # (n_nodes · NODE_FIELDS,)
    n_nodes: int
    tensors: Integers  # (n_tensors · TENSOR_FIELDS,)
    n_tensors: int
    reals: Reals  # (n_nodes · REALS,)
    factors: Reals  # (n_tensors · FACTORS,)
    touched: Integers  # for tables that are updated by row, COUNT … of each; or (1,)
    decays: RealRun  # the factor of the decay for each batch, as Step.rates; (1,) 1 without a schedule
    dropouts: RealRun  # the factor of the dropout rates for each batch
    average: NumberRun  # the moving average of the parameters, in their layout, or (0,)
    ema: float  # average ← ema · average + (1 − ema) · parameters after each batch
    drops_last: bool  # whether an epoch leaves out a last batch that is short
    wants_inputs: bool  # whether ∂J/∂X is computed
    room: int  # numbers in Machine.packed for HEIGHT rows of a thread's product


class GraphCall(NamedTuple):
    """What `train` and `update` read: the fields of TrainCall, and the graph."""

    machine: codes.Machine
    graph: Graph
    data: codes.Data
    step: codes.Step
    memory: codes.Memory
    progress: codes.Progress
    watch: codes.Watch
    team: codes.Team
    budget: int
    rate: float
    weight: float
    penalty: Reals


class GraphEvaluateCall(NamedTuple):
    """What `evaluate` reads."""

    machine: codes.Machine
    graph: Graph
    data: codes.Data
    start: int
    stop: int
    block: int
    output: NumberRun
    losses: RealRun


class PullCall(NamedTuple):
    """What `pull` reads: it goes backward to X for rows start … stop."""

    machine: codes.Machine
    graph: Graph
    data: codes.Data
    start: int
    stop: int
    block: int
    mode: int
    weight: float  # the sum of the samples' weights, for OF_LOSS
    vectors: NumberRun  # (n · n_L,) for OF_VECTORS
    output: NumberRun  # (n · n_1,), for OF_OUTPUTS (n · n_L · n_1,)
