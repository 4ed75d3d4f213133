"""How the columns of a table become the inputs and targets of a network."""

from .._files.columns import Table, label
from ._pieces import Encoding
from ._read import encoded, inputs, plain_inputs
from ._recognise import recognise
from ._target import answers, targets, with_target
from ._training import training_encoding, training_inputs

__all__ = [
    "Encoding",
    "Table",
    "answers",
    "encoded",
    "inputs",
    "label",
    "plain_inputs",
    "recognise",
    "targets",
    "training_encoding",
    "training_inputs",
    "with_target",
]
