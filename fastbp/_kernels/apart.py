"""Kernels that are compiled on their own, once for all their callers.

Several processes compile them at the same time. Their callers know only their names, so Numba doesn't compile them
again with each caller. Outside of a build, as in tests, they are compiled like other kernels.
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
NOWHERE = 1  # an address, because Numba wants one for each function; nothing calls it


def apart(function):
    """Compile a function on its own. Its arguments, and a result if it has one, are annotated as fields of records."""
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
    """Return the Numba type of the network's numbers, found in some argument."""
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
