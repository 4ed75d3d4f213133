"""Options for training the parameters of a Trainer: groups, frozen parameters, the average, and schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from .. import _checks
from ..network import Network
from ..optimizers import Optimizer

if TYPE_CHECKING:
    from .._layered import Ways
    from ..schedules import Schedule

Array = npt.NDArray[Any]

FLOAT64 = np.dtype("float64")
FACTORS = ("learning_rate", "weight_decay")


@dataclass(frozen=True)
class Settings:
    """Checked options, with their names in `Trainer`. A trainer that uses none of them has None instead."""

    parameter_groups: dict[str, dict[str, float]] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    ema: float | None = None
    drop_last: bool = False
    dropout_schedule: Schedule | None = None
    weight_decay_schedule: Schedule | None = None

    @property
    def ways(self) -> Ways:
        """The options in the form that a network takes."""
        from .._layered import Ways

        groups = tuple(
            (pattern, group.get("learning_rate", 1.0), group.get("weight_decay"))
            for pattern, group in self.parameter_groups.items()
        )
        return Ways(groups, self.frozen, self.ema or 0.0, self.drop_last)

    @property
    def has_schedules(self) -> bool:
        """Whether the weight decay or the dropout changes during a fit."""
        return self.schedules != (None, None)

    @property
    def schedules(self) -> tuple[Schedule | None, Schedule | None]:
        """The schedules of the weight decay and of the dropout."""
        return self.weight_decay_schedule, self.dropout_schedule

    def factors_at(self, epoch: Array, epochs: int) -> tuple[Array, Array]:
        """Return the factors of the weight decay and of the dropout; the arguments are those of `Schedule`."""
        decays = _factors_at("weight_decay_schedule", self.weight_decay_schedule, epoch, epochs)
        return decays, _factors_at("dropout_schedule", self.dropout_schedule, epoch, epochs)

    def options(self) -> dict[str, Any]:
        """Return the arguments of `Trainer`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def check(self, network: Network, optimizer: Optimizer, dropout: tuple[float, ...]) -> None:
        """Refuse options that would have no effect on a network."""
        decay = getattr(optimizer, "weight_decay", 0.0)
        reason = f"because the weight_decay of optimizer={optimizer.name!r} is 0"
        for pattern, group in self.parameter_groups.items():
            if group.get("weight_decay", 0.0) > 0 and decay == 0:
                raise ValueError(_checks.wrong(f"parameter_groups[{pattern!r}]", f"no weight_decay, {reason}", group))
        if self.weight_decay_schedule is not None and decay == 0:
            raise ValueError(_checks.wrong("weight_decay_schedule", f"None, {reason}", self.weight_decay_schedule))
        operations = cast(Any, network).plan.operations  # a GraphNetwork's
        drops = any(dropout) or any(operation.rate > 0 for operation in operations)
        if self.dropout_schedule is not None and not drops:
            came = self.dropout_schedule
            raise ValueError(_checks.wrong("dropout_schedule", "None, because no layer has dropout", came))


def settings_of(
    parameter_groups: Any, frozen: Any, ema: Any, drop_last: Any, dropout_schedule: Any, weight_decay_schedule: Any
) -> Settings | None:
    """Return the options, checked, or None if none of them is used.

    Raises
    ------
    ValueError, TypeError
        If an option has the wrong type or is out of range.
    """
    settings = Settings(
        _groups(parameter_groups),
        patterns_of("frozen", frozen),
        None if ema is None else _checks.fraction("ema", ema) or None,
        _checks.flag("drop_last", drop_last),
        _factors("dropout_schedule", dropout_schedule),
        _factors("weight_decay_schedule", weight_decay_schedule),
    )
    return None if settings == Settings() else settings


def _groups(value: Any) -> dict[str, dict[str, float]]:
    """Return {pattern: {"learning_rate": factor, "weight_decay": factor}}; a group may have one of the two."""
    if value is None:
        return {}
    expected = "a dict {pattern of names: {'learning_rate': factor, 'weight_decay': factor}}"
    if not isinstance(value, Mapping):
        raise TypeError(_checks.wrong("parameter_groups", expected, _checks.typed(value)))
    groups = {}
    for pattern, group in value.items():
        name = f"parameter_groups[{pattern!r}]"
        if not isinstance(pattern, str) or not isinstance(group, Mapping) or not group:
            raise TypeError(_checks.wrong("parameter_groups", expected, _checks.shown({pattern: group})))
        for key in group:
            _checks.one_of(name, key, FACTORS)
        groups[pattern] = {key: _checks.real(name, factor, minimum=0, dtype=FLOAT64) for key, factor in group.items()}
    return groups


def patterns_of(argument: str, value: Any) -> tuple[str, ...]:
    """Return patterns of names, given one or several."""
    expected = "a name or a pattern of names of parameters, or a list of them"
    listed = [value] if isinstance(value, str) else _checks.sequence(argument, value, expected)
    for item in listed:
        if not isinstance(item, str):
            raise TypeError(_checks.wrong(argument, expected, _checks.typed(item)))
    return tuple(listed)


def _factors(argument: str, value: Any) -> Schedule | None:
    """Return a schedule of factors, given one or its name."""
    if value is None:
        return None
    from ..schedules import SCHEDULES, Schedule

    if isinstance(value, str):
        return SCHEDULES[_checks.one_of(argument, value, SCHEDULES)]()
    if not isinstance(value, Schedule) or value.absolute:
        expected = f"None, one of {', '.join(map(repr, SCHEDULES))}, or a Schedule of factors"
        raise TypeError(_checks.wrong(argument, expected, _checks.kind_shown(value, Schedule)))
    return value


def _factors_at(argument: str, schedule: Schedule | None, epoch: Array, epochs: int) -> Array:
    """Return the factors at some points of a fit, as many as there are points; (1,) 1 without a schedule."""
    if schedule is None:
        return np.ones(1)
    values = _checks.factors(argument, schedule(epoch, epochs), np.shape(epoch))
    if argument == "dropout_schedule" and (values > 1).any():
        raise ValueError(_checks.wrong(argument, "factors in [0, 1]", f"{values.max():g}"))
    return values
