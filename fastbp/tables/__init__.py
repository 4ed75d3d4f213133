"""How the columns of a table become the inputs and targets of a network."""

from .._files.columns import Table, label
from ._read import inputs, plain_inputs
from ._recognise import recognise
from ._target import answers, targets, with_target
from ._training import training_inputs

__all__ = [
    "Table",
    "answers",
    "inputs",
    "label",
    "plain_inputs",
    "recognise",
    "targets",
    "training_inputs",
    "with_target",
]
