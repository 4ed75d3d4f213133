"""What threads need of the processor: atomic access to int64 array elements, the hint that a loop spins."""

import os
import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import inner
from .llvm import _address

X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")

# The C library's, found by its name when code is loaded; milliseconds on Windows, else microseconds
_sleep = types.ExternalFunction("Sleep" if os.name == "nt" else "usleep", types.int32(types.uint32))
NAP = 1 if os.name == "nt" else 10


@intrinsic
def fetch_add(typing, memory, i, number):
    """Add to element i; returns what was there before."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", _address(context, builder, signature.args[0], *args[:2]), args[2], "seq_cst")

    return types.int64(memory, types.intp, types.int64), generate


@intrinsic
def load_acquire(typing, memory, i):
    """Element i; what its writer stored before is visible after."""

    def generate(context, builder, signature, args):
        place = _address(context, builder, signature.args[0], *args)
        return builder.load_atomic(place, "acquire", 8, typ=ir.IntType(64))

    return types.int64(memory, types.intp), generate


@intrinsic
def store_release(typing, memory, i, number):
    """Set element i, after everything stored before."""

    def generate(context, builder, signature, args):
        builder.store_atomic(args[2], _address(context, builder, signature.args[0], *args[:2]), "release", 8)
        return context.get_dummy_value()

    return types.none(memory, types.intp, types.int64), generate


@intrinsic
def pause(typing):
    """Tell the processor that this loop waits for another thread; nothing where there's no such hint."""

    def generate(context, builder, signature, args):
        if X86:
            hint = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, hint, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.none(), generate


@inner
def nap():
    """Sleep as shortly as the operating system can, some 60 µs; who wakes up goes before who was computing."""
    _sleep(NAP)
