"""Kernels that are compiled on their own, once for all that call them.

Processes compile them at the same time, and Numba doesn't compile them again with each of their callers, which call
them by name. Tests compile them like others.
"""

import inspect

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from .calls import fields_of
from .codes import APART
from .jit import c_function, inner
from .levels import BUILDING
from .records import field_type

_functions = {}  # by the module's name: the functions of Python
NOWHERE = 1  # an address for Numba, which asks for those of all functions, but calls none


def apart(function):
    """Compile on its own. Arguments, and the result if there is one, are annotated as the fields of records are."""
    _functions.setdefault(function.__module__.rpartition(".")[2], []).append(function)
    if not BUILDING:
        function.__qualname__ = APART + function.__qualname__
        return inner(function)
    fields = {field.name: field for field in fields_of(function)}
    result = fields.pop("return", None)

    def call(typing, *args):
        number = _number_of(fields.values(), args)
        name = _symbol(function, number)
        binding.add_symbol(name, NOWHERE)
        out = field_type(result, number) if result else types.none

        def generate(context, builder, signature, args):
            kind = context.call_conv.get_function_type(out, signature.args)
            called = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            value = context.call_conv.call_function(builder, called, out, signature.args, args)[1]
            return value if result else context.get_dummy_value()

        return out(*(field_type(field, number) for field in fields.values())), generate

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    names = ["typing", *fields]
    call.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    )
    return intrinsic(call)


def compiled_apart(module, number):
    """Compile a module's functions that are apart. Return pairs (name, function of C)."""
    pairs = []
    for function in _functions[module]:
        fields = {field.name: field_type(field, number) for field in fields_of(function)}
        out = fields.pop("return", types.none)
        pairs.append((_symbol(function, number), c_function(out(*fields.values()))(function)))
    return pairs


def _symbol(function, number):
    return f"{APART}{function.__name__}_{number.name}"


def _number_of(fields, args):
    """Return the Numba type of the network's numbers, which some argument has."""
    for field, kind in zip(fields, args, strict=True):
        if field.record:
            found = _number_of(fields_of(field.record), kind.types)
        elif field.scalar != "number":
            found = None
        elif field.is_run:
            found = kind.types[0].dtype
        else:
            found = kind.dtype if field.is_array else kind
        if found is not None:
            return found
    return None
