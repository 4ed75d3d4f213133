"""An iterable of batches as training data, and what data of one rank may not be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, SupportsFloat

from .. import _checks


class Batches:
    """An iterable of batches, (X, y) or (X, y, sample_weight), for data that is not in memory.

    Parameters
    ----------
    source : iterable; an iterator continues where the last epoch stopped
    steps : number of batches in an epoch; None: until the iterable ends
    epochs : number of epochs to be read
    """

    intake: Any  # the `Intake` that checks each batch

    def __init__(self, source: Iterable[Any], steps: int | None, epochs: int) -> None:
        self.once = isinstance(source, Iterator)
        if self.once and steps is None and epochs > 1:
            expected = "a number of batches per epoch, because an iterator can't start again"
            raise ValueError(_checks.wrong("steps", expected, "None"))
        self.source, self.steps = source, steps
        self.length = steps or (len(source) if isinstance(source, Sized) else None)  # batches of an epoch, if known

    def __iter__(self) -> Iterator[Any]:
        batches, fresh = iter(self.source), True  # fresh: hasn't yielded a batch yet
        count = 0
        while self.steps is None or count < self.steps:
            try:
                yield next(batches)
            except StopIteration:
                if self.steps is None and count > 0:
                    return
                if self.once or fresh:
                    raise ValueError(
                        _checks.wrong("X", f"{self.steps or 'some'} batches per epoch", f"an end after {count}")
                    ) from None
                batches, fresh = iter(self.source), True
                continue
            count, fresh = count + 1, False


def check_sharded(kind: str, class_weight: Any, validation_split: SupportsFloat, blind: bool) -> None:
    """Refuse arguments that need more samples than one rank has."""
    if kind != "an array":
        raise ValueError(_checks.wrong("X", "an array, because sharded=True", kind))
    if class_weight is not None and not isinstance(class_weight, Mapping):
        raise ValueError(_checks.wrong("class_weight", "a dict, because sharded=True", _checks.shown(class_weight)))
    _checks.absent("with sharded=True", validation_split=validation_split)
    if blind:
        raise ValueError(_checks.wrong("metrics", "validation_data to measure, because sharded=True", "none"))


def refuse(argument: str, value: Any) -> None:
    """Refuse an argument whose values are in the chunks of the Stream."""
    if value is not None:
        raise ValueError(_checks.wrong(argument, "None, because X is a Stream", _checks.shown(value)))
