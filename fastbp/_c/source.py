"""The two files of an exported network: their comments, declarations and functions."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .body import Body
from .columns import Encoder
from .functions import in_double, needs_math, text_of
from .program import Program
from .text import array, comment, number

Array = npt.NDArray[Any]

SHOWN = 1000  # names in a comment


@dataclass(frozen=True)
class SelfTest:
    """A row of inputs, the outputs that are expected, and the deviation that is allowed.

    Attributes
    ----------
    x, y : (n_1,) and (n_L,)
    scale : the size of outputs; deviations are relative to it
    tolerance : the largest relative deviation that passes
    """

    x: Array
    y: Array
    scale: float
    tolerance: float


@dataclass(frozen=True)
class Files:
    """Makes the texts of the two files.

    Attributes
    ----------
    name : the prefix of all functions
    header : the name of the header
    about : lines of the comment at the top of the header
    test : the self-test
    encoder : writes the code that computes inputs from the rows of a table
    """

    name: str
    header: str
    about: Sequence[str]
    test: SelfTest
    program: Program
    body: Body
    encoder: Encoder | None

    @property
    def real(self) -> str:
        """The type of numbers."""
        return "double" if self.body.dtype == np.float64 else "float"

    def declarations(self) -> str:
        """Return the text of the header."""
        n, macro, real, body = self.name, self.name.upper(), self.real, self.body
        members = f"    {real} a[{max(body.size, 1)}];\n" if body.size or not body.size_int8 else ""
        members += f"    int8_t q[{body.size_int8}];\n" if body.size_int8 else ""
        tolerance = number(body.dtype.type(self.test.tolerance), "f" if real == "float" else "")
        return f"""\
{_comment(self.about)}
#ifndef {macro}_H
#define {macro}_H

{"#include <stdint.h>" + chr(10) * 2 if body.size_int8 else ""}#ifdef __cplusplus
extern "C" {{
#endif

#define {macro}_INPUTS {self.program.n_in}
#define {macro}_OUTPUTS {self.program.n_out}

/* Working memory of one call. Each thread needs its own. */
typedef struct {{
{members}}} {n}_workspace;

/* Computes the outputs y for one row x of inputs. x and y must not overlap. */
void {n}_predict(const {real} x[{macro}_INPUTS], {real} y[{macro}_OUTPUTS], {n}_workspace *workspace);
{self._class_declaration()}{self.encoder.declarations() if self.encoder else ""}
#ifndef {macro}_NO_SELF_TEST
#define {macro}_TOLERANCE {tolerance}
/* Predicts a row that the C file contains. Returns the largest difference from fastbp's outputs, relative to the
 * largest output. More than {macro}_TOLERANCE is an error. Define {macro}_NO_SELF_TEST to leave the test out. */
{real} {n}_self_test({n}_workspace *workspace);
#endif

#ifdef __cplusplus
}}
#endif

#endif
"""

    def definitions(self) -> str:
        """Return the text of the source file."""
        n, macro, body = self.name, self.name.upper(), self.body
        functions = text_of(body.functions)
        lines = "\n".join(f"    {line}" if line else "" for line in body.lines)
        code = f"""{functions}
void {n}_predict(const float x[{macro}_INPUTS], float y[{macro}_OUTPUTS], {n}_workspace *workspace)
{{
{lines}
}}
{self._class_definition()}"""
        test = self._self_test()
        if self.real == "double":
            code = in_double(code)
        code += self.encoder.definitions() if self.encoder else ""
        includes = [
            f"/* The code for {comment(self.header)}, which describes the network. */",
            f'#include "{self.header}"\n',
        ]
        includes += ["#include <math.h>"] if needs_math(code) else []
        includes += ["#include <stddef.h>"] if "NULL" in code else []
        return "\n".join([*includes, "", *body.constants, code, test]).replace("\n\n\n", "\n\n")

    def _class_declaration(self) -> str:
        if self.program.threshold is None or self.program.separate:
            return ""
        head = f"int {self.name}_class(const {self.real} y[{self.name.upper()}_OUTPUTS])"
        return f"\n/* Returns the number of the class, from 0, for outputs y. */\n{head};\n"

    def _class_definition(self) -> str:
        if self.program.threshold is None or self.program.separate:
            return ""
        head = f"\nint {self.name}_class(const float y[{self.name.upper()}_OUTPUTS])\n"
        if self.program.n_answers == 1:
            return f"{head}{{\n    return y[0] > {number(np.float32(self.program.threshold), 'f')};\n}}\n"
        return f"""{head}{{
    int j, largest = 0;

    for (j = 1; j < {self.program.n_answers}; j++)
        if (y[j] > y[largest])
            largest = j;
    return largest;
}}
"""

    def _self_test(self) -> str:
        n, macro, kind, real = self.name, self.name.upper(), self.body.dtype.type, self.real
        suffix = "f" if real == "float" else ""
        return f"""
#ifndef {macro}_NO_SELF_TEST
{array("test_inputs", self.test.x.astype(kind))}
{array("test_outputs", self.test.y.astype(kind))}
{real} {n}_self_test({n}_workspace *workspace)
{{
    {real} y[{macro}_OUTPUTS], largest = 0.0{suffix};
    int j;

    {n}_predict(test_inputs, y, workspace);
    for (j = 0; j < {macro}_OUTPUTS; j++) {{
        const {real} difference = y[j] > test_outputs[j] ? y[j] - test_outputs[j] : test_outputs[j] - y[j];
        if (!(difference < 1e9{suffix})) /* infinite, or not a number */
            return 1e9{suffix};
        if (difference > largest)
            largest = difference;
    }}
    return largest / {number(kind(self.test.scale), suffix)};
}}
#endif
"""


def _comment(sentences: Sequence[str]) -> str:
    """Return sentences as a comment, each on lines of its own."""
    lines = [line for sentence in sentences for line in textwrap.wrap(comment(sentence), 110) or [""]]
    return "\n".join(["/* " + lines[0], *(f" * {line}".rstrip() for line in lines[1:]), " */"])
