"""Atomic access to int64 array elements, and ways to wait: a hint that a loop spins, and a short sleep."""

import os
import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import inner
from .llvm import _address

X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")

# A function of the C library, found by its name when code is loaded. Its unit is a millisecond on Windows, else 1 µs.
_sleep = types.ExternalFunction("Sleep" if os.name == "nt" else "usleep", types.int32(types.uint32))
NAP = 1 if os.name == "nt" else 10


@intrinsic
def fetch_add(typing, memory, i, number):
    """Add to element i, and return its value from before."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", _address(context, builder, signature.args[0], *args[:2]), args[2], "seq_cst")

    return types.int64(memory, types.intp, types.int64), generate


@intrinsic
def load_acquire(typing, memory, i):
    """Return element i. What its writer stored before it is visible from now on."""

    def generate(context, builder, signature, args):
        place = _address(context, builder, signature.args[0], *args)
        return builder.load_atomic(place, "acquire", 8, typ=ir.IntType(64))

    return types.int64(memory, types.intp), generate


@intrinsic
def store_release(typing, memory, i, number):
    """Set element i after everything that this thread has stored before."""

    def generate(context, builder, signature, args):
        builder.store_atomic(args[2], _address(context, builder, signature.args[0], *args[:2]), "release", 8)
        return context.get_dummy_value()

    return types.none(memory, types.intp, types.int64), generate


@intrinsic
def pause(typing):
    """Tell the processor that this loop waits for another thread. Only x86 has such a hint."""

    def generate(context, builder, signature, args):
        if X86:
            hint = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.none(), generate


@inner
def nap():
    """Sleep as briefly as the system can, for some 60 µs. A thread that wakes goes before threads that compute."""
    _sleep(NAP)
