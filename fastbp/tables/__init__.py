"""How the columns of a table become the inputs and targets of a network."""

from typing import TYPE_CHECKING, Any

from .._extras import not_installed
from .._files.columns import Table, label
from ._pieces import CrossFitted, Encoding, Part
from ._raw import WAVE_DIGITS, RawColumns, limits_of, n_numbers, owners_of, raw_columns
from ._read import encoded, inputs, plain_inputs
from ._recognise import recognise, recognise_inputs, task_of
from ._target import answers, target_rows, targets, with_target
from ._training import training_encoding, training_inputs

if TYPE_CHECKING:
    from ._encoder import TableEncoder

__all__ = [
    "WAVE_DIGITS",
    "CrossFitted",
    "Encoding",
    "Part",
    "RawColumns",
    "Table",
    "TableEncoder",
    "answers",
    "encoded",
    "inputs",
    "label",
    "limits_of",
    "n_numbers",
    "owners_of",
    "plain_inputs",
    "raw_columns",
    "recognise",
    "recognise_inputs",
    "target_rows",
    "targets",
    "task_of",
    "training_encoding",
    "training_inputs",
    "with_target",
]


def __getattr__(name: str) -> Any:
    """Import TableEncoder when it is first used, because scikit-learn takes a second."""
    if name != "TableEncoder":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from ._encoder import TableEncoder
    except ImportError:
        raise not_installed("TableEncoder needs scikit-learn", "sklearn") from None
    return TableEncoder
