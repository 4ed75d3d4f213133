"""The tasks of small.py and online.py: records of offsets, from which lists are made once for each size of a batch.

In small.py, squares are offsets in the workspace, weights and biases offsets in the parameters. A step is the distance
between a group of samples and the next one: of the whole group (step), or for each of its samples (…_step). In
online.py, all are offsets in its own memory, except CopyTask.theta, which is an offset in the parameters.
"""

from typing import NamedTuple

from .codes import Integers, Numbers


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


class ActivateTask(NamedTuple):
    """Activate a layer by options.py. A ForwardTask with the activation KEPT + i asks for the i-th of them."""

    layer: int
    sample: int  # the first of those that go forward together
    samples: int


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
    a: int  # the square of the same units, or of f′ if that was stored
    theta: int  # the first of the rows from these units
    row: int  # p of the layer above, how far apart rows of Θ lie
    units: int  # from the first one in the square on
    incoming: int  # the first square of δ above
    n: int  # units above
    activation: int
    step: int  # of a and δ


class WeightTask(NamedTuple):
    """Descend with SIDE by SIDE weights, or store their gradients."""

    theta: int
    row: int  # how far apart rows of Θ lie
    rows: int  # from the first one on
    a: int  # the first square
    a_step: int
    delta: int  # the first square
    delta_step: int


class BiasTask(NamedTuple):
    """Do the same with SIDE biases."""

    bias: int
    delta: int  # the first square
    delta_step: int


class StepTask(NamedTuple):
    """Move the parameters of a layer along their gradients."""

    place: int  # of the first one
    count: int
    weights: int  # so many of the first ones are weights, and the others biases


TASK_FIELDS = len(BackwardTask._fields)  # of the longest; lists of tasks have room for so many numbers in each


class Tasks(NamedTuple):
    """A list of tasks."""

    at: Integers  # (count · TASK_FIELDS,)
    count: int


class Passes(NamedTuple):
    """The tasks that go forward and back for groups of samples. A task is for one group, or for several at once."""

    forward: Tasks  # of ForwardTask
    activations: Tasks  # of ActivateTask
    outputs: Tasks  # of OutputTask
    backward: Tasks  # of BackwardTask


class Program(NamedTuple):
    """What small.py does with a batch, as lists of tasks."""

    groups: int  # of SIDE samples
    inputs: Tasks  # of GatherTask
    targets: Tasks  # of GatherTask
    beside: Passes  # for as many groups at once as squares.beside says
    alone: Passes  # for each of the groups that are left
    weights: Tasks  # of WeightTask
    biases: Tasks  # of BiasTask
    steps: Tasks  # of StepTask


class CopyTask(NamedTuple):
    """In online.py: copy parameters to the workspace, or back."""

    theta: int
    row: int  # how far apart rows lie in the parameters
    rows: int
    columns: int
    place: int
    place_row: int  # how far apart in the workspace
    place_column: int
    back: int  # whether they are copied back


class AheadTask(NamedTuple):
    """In online.py: compute a vector of a = f(z) of a sample from all of the layer below."""

    z: int
    x: int  # a of the layer below
    w: int  # the first weights to these units
    row: int  # how far apart rows of W lie
    n: int  # units below
    b: int
    activation: int
    lanes: int  # that aren't padding
    full: int  # 1 for a full register, 0 for a half


class FewTask(NamedTuple):
    """In online.py: compute four places of zᴸ, each the sum of the products of a row of V and a sample's a."""

    below: int  # numbers in a row
    places: int  # how many of the four there are
    x_0: int
    v_0: int
    b_0: int
    x_1: int
    v_1: int
    b_1: int
    x_2: int
    v_2: int
    b_2: int
    x_3: int
    v_3: int
    b_3: int
    full: int


class ErrorTask(NamedTuple):
    """In online.py: compute four places of e of the last layer."""

    place: int  # in rows of targets, weights, a and e
    places: int  # how many of the four there are
    sample: int  # the first one in the task
    units: int  # how many places belong to a sample
    before: int  # how many of these are in tasks before


class BackTask(NamedTuple):
    """In online.py: compute a vector of e of a sample from all of e of the layer above."""

    e: int
    a: int
    v: int  # the first weights from these units
    row: int  # how far apart rows of V lie
    incoming: int  # e above
    units: int  # above
    activation: int
    full: int


class RowsTask(NamedTuple):
    """In online.py: move a vector of each row of W, or of V."""

    w: int
    row: int
    rows: int
    x: int  # what belongs to the rows: of W a of the layer below, of V e
    x_step: int  # between samples
    e: int  # what belongs to the vector: of W e, of V a of the layer below
    e_step: int
    b: int  # the biases, or -1
    full: int


ONLINE_FIELDS = len(FewTask._fields)  # of the longest


class Online(NamedTuple):
    """What online.py does with a batch, and its memory."""

    m: int  # samples of a whole batch; 0 if small.py trains the network
    x: int  # (m, x_row) a¹
    x_row: int
    y: int  # (4, m, y_row) targets, the samples' weights, zᴸ and e
    y_row: int
    y_size: int  # of each of the four
    ahead: Tasks  # of AheadTask
    few: Tasks  # of FewTask, as many as of ErrorTask, or none
    errors: Tasks  # of ErrorTask
    back: Tasks  # of BackTask
    along: Tasks  # of RowsTask, as many as of BackTask, if batches have one sample
    rows: Tasks  # of RowsTask
    copies: Tasks  # of CopyTask
    work: Numbers
