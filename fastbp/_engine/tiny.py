"""Which tiny networks small.py trains, which batches of one to four samples online.py trains, and the calls of both."""

from __future__ import annotations

from typing import Any

from .._kernels import codes
from .._kernels.calls import TinyCall, slot_of
from .._library.slots import Slots, address_of
from .layout import Layout
from .nothing import NO_MANY, NO_WATCH
from .online import NOT_ONLINE
from .workspace import Workspace

PARAMETERS = slot_of(TinyCall, "machine", "parameters")  # the kernel changes it for many networks


def is_tiny(layout: Layout, objective: codes.Objective) -> bool:
    """Return whether small.py can train a network, and is faster. It also depends on the step: see `serves`."""
    return layout.is_small and objective.code != codes.CUSTOM


def serves(step: codes.Step) -> bool:
    """Return whether small.py can do a step. Step.ends is decided."""
    return step.ends in (codes.AT_ONCE, codes.AFTER_BATCH) and step.block >= step.batch_size


def serves_few(workspace: Workspace, step: codes.Step) -> bool:
    """Return whether online.py can do a step for the network of a workspace, and is faster than the other kernels."""
    return step.ends == codes.AT_ONCE and workspace.online(step.block).m > 0


def train(
    library: Any,
    workspace: Workspace,
    data: codes.Data,
    memory: codes.Memory,
    step: codes.Step,
    progress: codes.Progress,
    budget: int,
    watch: codes.Watch,
) -> int:
    """Continue as Engine.train does, in a workspace. Return how many blocks were done."""
    call = _call(workspace, data, step, budget, watch)
    call.keep("step", step)
    call.keep("memory", memory)
    call.keep("many", NO_MANY)
    call.write("progress", progress)
    done: int = library.train_tiny(call.address, 0)
    return done


def train_each(
    library: Any,
    workspace: Workspace,
    data: codes.Data,
    memory: codes.Memory,
    step: codes.Step,
    many: codes.Many,
    budget: int,
) -> int:
    """Continue as Engine.train_each does, in a workspace. Return how many blocks were done.

    memory: its sums are used. The moments are those of `many`.
    """
    call = _call(workspace, data, step, budget, NO_WATCH)
    call.write("step", step)  # not kept, because the kernel changes it
    call.write("memory", memory)
    call.write("many", many)
    done: int = library.train_tiny(call.address, 0)
    return done


def _call(workspace: Workspace, data: codes.Data, step: codes.Step, budget: int, watch: codes.Watch) -> Slots:
    """Return the call for a batch, without the step and the state of a network."""
    call = workspace.call(TinyCall)
    call.keep("program", workspace.program(step.block))
    call.keep("online", workspace.online(step.block) if step.ends == codes.AT_ONCE else NOT_ONLINE)
    call.keep("watch", watch)
    call.write("data", data)
    call.integers[PARAMETERS] = address_of(workspace.machine.parameters)
    call.write("budget", budget)
    return call
