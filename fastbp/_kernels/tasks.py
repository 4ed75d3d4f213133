"""The tasks of small.py: records of offsets, from which lists are made once for each size of a batch.

Squares are offsets in the workspace, weights and biases offsets in the parameters. A step is the distance between a
group of samples and the next one: of the whole group (step), or for each of its samples (…_step).
"""

from typing import NamedTuple

from .codes import Integers


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
