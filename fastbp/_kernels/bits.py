"""Operations inside a vector: on the bits of its numbers, sums of its lanes, polynomials, and tables."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .levels import AVX512
from .llvm import _call, _call_llvm, _constant, _halves, _integers, _joined

MANTISSA = {32: 23, 64: 52}  # bits
ROOT_HALF = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}  # the bits of √½
# How many powers of 2 within an octave are in a table: as many as two registers hold. With them, the sigmoid of a
# register of float32 takes 3.8 ns instead of 5.1.
STEPS = {32: 32, 64: 16} if AVX512 else {32: 1, 64: 1}


def _looked_up(builder, table, index):
    """Return table[index] for the lowest bits of index, with one instruction for each register of index."""
    bits, count, half = table.dtype.itemsize * 8, index.type.count, len(table) // 2
    if count > half:
        return _joined(builder, *(_looked_up(builder, table, part) for part in _halves(builder, index)))
    full = ir.VectorType(ir.IntType(bits), half)
    first, last = (ir.Constant(full, [int(entry) for entry in part]) for part in (table[:half], table[half:]))
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), half), [*range(count), *[0] * (half - count)])
    name = f"llvm.x86.avx512.vpermi2var.{'d' if bits == 32 else 'q'}.512"
    found = _call_llvm(builder, name, full, [first, builder.shuffle_vector(index, index, lanes), last])
    return builder.shuffle_vector(found, found, ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(count))))


def _power_of_two(steps, doc):
    def power(typing, shifted):
        width = shifted.dtype.bitwidth
        count = steps[width]
        shift = MANTISSA[width] - count.bit_length() + 1
        # The lowest bits of the argument are the step, and those above are the octave. Moved up, they add the octave to
        # the exponent, and the step to the mantissa, from which the table takes it away. This is cheaper than a
        # conversion, and a NaN stays one.
        step = np.arange(count, dtype=f"i{width // 8}")
        powers = np.array([2.0 ** (k / count) for k in range(count)], f"f{width // 8}")
        table = powers.view(step.dtype) - (step << shift)

        def generate(context, builder, signature, args):
            bits = builder.bitcast(args[0], _integers(shifted))
            moved = builder.shl(bits, _constant(shifted, shift, integer=True))
            if count == 1:
                entries = _constant(shifted, int(table[0]), integer=True)
            else:
                entries = _looked_up(builder, table, bits)
            return builder.bitcast(builder.add(moved, entries), args[0].type)

        return shifted(shifted), generate

    power.__doc__ = doc
    return intrinsic(power)


power_of_two = _power_of_two(
    {32: 1, 64: 1},
    "2ⁿ of n + `SHIFT`, whole n from −127 to 128 (float64: −1023 to 1024); the ends give 0 and infinity.",
)
power_of_two_in_steps = _power_of_two(
    STEPS, "2ⁿ of n + `STEP_SHIFT`, n a multiple of 1/STEPS from −126 to 127 (float64: −1022 to 1023)."
)


@intrinsic
def exponent_and_mantissa(typing, x):
    """Return whole e and m in [√½, √2) with x = m·2ᵉ, for positive normal x."""

    def generate(context, builder, signature, args):
        width = x.dtype.bitwidth
        bits = builder.bitcast(args[0], _integers(x))
        shift = _constant(x, MANTISSA[width], integer=True)
        e = builder.ashr(builder.sub(bits, _constant(x, ROOT_HALF[width], integer=True)), shift)
        m = builder.bitcast(builder.sub(bits, builder.shl(e, shift)), args[0].type)
        return context.make_tuple(builder, signature.return_type, (builder.sitofp(e, args[0].type), m))

    return types.UniTuple(x, 2)(x), generate


@intrinsic
def with_sign(typing, x, y):
    """Return |x| with the sign of y."""

    def generate(context, builder, signature, args):
        return _call(builder, "copysign", args[0].type, args)

    return x(x, y), generate


def _reciprocals(builder, value):
    """Return 1 ÷ value to 14 bits, a register at a time."""
    count, bits = value.type.count, 32 if isinstance(value.type.element, ir.FloatType) else 64
    if count * bits > 512:
        return _joined(builder, *(_reciprocals(builder, half) for half in _halves(builder, value)))
    mask = ir.IntType(max(count, 8))
    name = f"llvm.x86.avx512.rcp14.{'ps' if bits == 32 else 'pd'}.{count * bits}"
    return _call_llvm(builder, name, value.type, [value, ir.Constant(value.type, None), ir.Constant(mask, -1)])


@intrinsic
def quotient(typing, a, b):
    """Return a ÷ b within 1.5 ulp, for b from 2⁻¹²⁶ to 2¹²⁶ (float64: 2⁻¹⁰²² to 2¹⁰²²)."""
    estimated = AVX512 and b.lanes * b.dtype.bitwidth in (128, 256, 512, 1024, 2048, 4096)

    def generate(context, builder, signature, args):
        a_value, b_value = args
        if not estimated:
            return builder.fdiv(a_value, b_value)
        # An estimate of 14 bits, and one or two steps of Newton's method, take a third of a division's time.
        guess, negative = _reciprocals(builder, b_value), builder.fneg(b_value)
        for last in (True,) if b.dtype == types.float32 else (False, True):
            left = _call(builder, "fmuladd", b_value.type, (negative, guess, _constant(b, 1.0)))
            guess = builder.fmul(a_value, guess) if last else guess
            guess = _call(builder, "fmuladd", b_value.type, (guess, left, guess))
        return guess

    return b(a, b), generate


def _fold(combine, doc):
    def folded(typing, x):
        def generate(context, builder, signature, args):
            value = args[0]
            while value.type.count > 1:
                value = combine(builder, *_halves(builder, value))
            return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

        return x.dtype(x), generate

    folded.__doc__ = doc
    return intrinsic(folded)


total = _fold(
    lambda builder, a, b: builder.fadd(a, b), "Return the sum of the lanes, added in one fixed order: half to half."
)
greatest = _fold(
    lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b), "Return the largest of the lanes."
)


def constant(single, double=None):
    """Make an intrinsic f(x) that returns the number for the dtype of x, in as many lanes as x has."""

    def chosen(typing, x):
        def generate(context, builder, signature, args):
            return _constant(x, single if x.dtype == types.float32 or double is None else double)

        return x(x), generate

    return intrinsic(chosen)


def polynomial(single, double):
    """Make an intrinsic f(x) = c₀ + c₁x + c₂x² + …, with the coefficients for the dtype of x.

    It uses Estrin's scheme, whose chains of dependent instructions are shorter than Horner's.
    """

    def evaluated(typing, x):
        coefficients = single if x.dtype == types.float32 else double

        def generate(context, builder, signature, args):
            terms, power = [_constant(x, c) for c in coefficients], args[0]
            while len(terms) > 1:
                odd = terms[-1:] if len(terms) % 2 else []
                terms = [
                    _call(builder, "fmuladd", power.type, (power, high, low))
                    for low, high in zip(terms[::2], terms[1::2], strict=False)
                ] + odd
                power = builder.fmul(power, power) if len(terms) > 1 else power
            return terms[0]

        return x(x), generate

    return intrinsic(evaluated)


SHIFT = constant(1.5 * 2.0**23, 1.5 * 2.0**52)  # x + SHIFT − SHIFT is x rounded to a whole number
STEP_SHIFT = constant(1.5 * 2.0**23 / STEPS[32], 1.5 * 2.0**52 / STEPS[64])  # the same to a multiple of 1/STEPS
