"""Tiny networks: which ones small.py trains, and the calls of its entries."""

from __future__ import annotations

from typing import Any

from .._kernels import codes
from .._kernels.calls import TinyCall, slot_of
from .._library.slots import Slots, address_of
from .layout import Layout
from .nothing import NO_WATCH
from .workspace import Workspace

LOSSES = (codes.SQUARED_ERROR, codes.CROSS_ENTROPY, codes.BINARY_CROSS_ENTROPY)

# Slots that train_tiny_each changes
PARAMETERS, RATES = slot_of(TinyCall, "machine", "parameters"), slot_of(TinyCall, "step", "rates")


def is_tiny(
    layout: Layout, activations: tuple[int, ...], objective: codes.Objective, dropout: tuple[float, ...]
) -> bool:
    """Return whether small.py has all that a network needs, and is faster. The step decides, too: see `serves`."""
    basic = max(activations) < codes.LEAKY_RELU and not any(dropout)
    plain = objective._replace(parameter=(0.0,)) in (codes.Objective(code) for code in LOSSES)
    return layout.is_small and basic and plain


def serves(step: codes.Step) -> bool:
    """Return whether small.py has the step, of which it is decided how a batch ends."""
    return step.ends == codes.AT_ONCE


def train(
    library: Any,
    workspace: Workspace,
    data: codes.Data,
    step: codes.Step,
    progress: codes.Progress,
    budget: int,
    watch: codes.Watch,
) -> int:
    """Continue as Engine.train does, in a workspace. Return how many blocks were done."""
    call = _call(workspace, data, step, budget, watch)
    call.write("progress", progress)
    done: int = library.train_tiny(call.address, 0)
    return done


def train_each(
    library: Any, workspace: Workspace, data: codes.Data, step: codes.Step, many: codes.Many, budget: int
) -> int:
    """Continue as Engine.train_each does, in a workspace. Return how many blocks were done."""
    call = _call(workspace, data, step, budget, NO_WATCH)
    call.write("many", many)
    done: int = library.train_tiny_each(call.address, 0)
    return done


def _call(workspace: Workspace, data: codes.Data, step: codes.Step, budget: int, watch: codes.Watch) -> Slots:
    """Return the call for a batch, without the state of a network."""
    call = workspace.call(TinyCall)
    call.keep("program", workspace.program(step.block))
    call.keep("step", step)
    call.keep("watch", watch)
    call.write("data", data)
    integers = call.integers
    integers[PARAMETERS] = address_of(workspace.machine.parameters)
    integers[RATES], integers[RATES + 1] = address_of(step.rates), step.rates.size
    call.write("budget", budget)
    return call
