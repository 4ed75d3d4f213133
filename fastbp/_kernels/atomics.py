"""Atomic access to int64 array elements, ways to wait, and calls of functions at an address."""

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from .levels import LEVEL, this_machine
from .llvm import _address, _call_llvm

# The instruction by which a loop says that it waits: LLVM's name, and its arguments. ARM's own hint, yield, does
# nothing. A barrier takes as long as x86's pause.
HINTS = {"x86_64": ("llvm.x86.sse2.pause", ()), "aarch64": ("llvm.aarch64.isb", (15,))}

# If the kernels are for another machine, Numba still makes code for this one, which is thrown away. The kernels
# therefore call a function, which is defined only when LLVM makes code for the other machine.
FOREIGN_PAUSE = "fastbp.pause"
PAUSE_DEFINITION = ""
if LEVEL.machine != this_machine():
    _name, _numbers = HINTS[LEVEL.machine]
    _arguments = ", ".join(f"i32 {number}" for number in _numbers)
    PAUSE_DEFINITION = f"""
declare void @{_name}({", ".join("i32" for number in _numbers)})
define linkonce_odr void @{FOREIGN_PAUSE}() alwaysinline {{
  call void @{_name}({_arguments})
  ret void
}}
"""
    binding.add_symbol(FOREIGN_PAUSE, 1)  # Numba looks for an address, which nobody calls


@intrinsic
def fetch_add(typing, memory, i, number):
    """Add to element i, and return its value from before."""

    def generate(context, builder, signature, args):
        return builder.atomic_rmw("add", _address(context, builder, signature.args[0], *args[:2]), args[2], "seq_cst")

    return types.int64(memory, types.intp, types.int64), generate


@intrinsic
def exchange_if(typing, memory, i, old, new):
    """Set element i to a new number if it is the old one. Return whether it was."""

    def generate(context, builder, signature, args):
        place = _address(context, builder, signature.args[0], *args[:2])
        pair = builder.cmpxchg(place, args[2], args[3], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(memory, types.intp, types.int64, types.int64), generate


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
    """Tell the processor that this loop waits for another thread. It then waits for some nanoseconds."""

    def generate(context, builder, signature, args):
        name, numbers = (FOREIGN_PAUSE, ()) if PAUSE_DEFINITION else HINTS[LEVEL.machine]
        _call_llvm(builder, name, ir.VoidType(), [ir.Constant(ir.IntType(32), number) for number in numbers])
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def call_sleep(typing, address, time):
    """Call the C function at an address with a time, as uint32."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32)])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [builder.trunc(args[1], ir.IntType(32))])
        return context.get_dummy_value()

    return types.none(types.int64, types.int64), generate


@intrinsic
def memory_at(typing, address):
    """Return a pointer to the int64 numbers at an address."""

    def generate(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.int64)(types.int64), generate


@intrinsic
def call_entry(typing, entry, call, thread):
    """Call the entry at an address with the address of a record and the number of a thread."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(64), [ir.IntType(64)] * 2)
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])

    return types.int64(types.int64, types.int64, types.int64), generate
