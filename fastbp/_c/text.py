"""Pieces of C text: numbers, arrays, comments and identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

WIDTH = 110  # characters of a line
KEYWORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const const_cast
    consteval constexpr constinit continue co_await co_return co_yield decltype default delete do double
    dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace
    new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires
    restrict return short signed sizeof static static_assert static_cast struct switch template this thread_local
    throw true try typedef typeid typename typeof union unsigned using virtual void volatile wchar_t while xor
    xor_eq
"""  # of C and C++, also as other spellings of operators
MACROS = """
    arm complex errno far i386 imaginary interface linux mips near small stderr stdin stdout sun unix vax
    BIN BUFSIZ DEC DEFAULT DOMAIN EDOM EILSEQ EOF ERANGE EXIT_FAILURE EXIT_SUCCESS FALSE HEX HIGH HUGE HUGE_VAL I IN
    INFINITY INPUT LOW MAXFLOAT M_E M_PI NAN NULL OCT OUT OUTPUT OVERFLOW PI PLOSS RAND_MAX SING TLOSS TRUE UNDERFLOW
"""  # of compilers, and of headers that a program may include before ours


def number(value: Any, suffix: str) -> str:
    """Return a literal with exactly the value; suffix: f for float."""
    text = str(value)
    return text + ("" if "." in text or "e" in text else ".0") + suffix


def array(name: str, values: Array) -> str:
    """Return the definition of a constant array of int8, float or double."""
    flat = values.ravel()
    if flat.dtype == np.int8:
        kind, texts = "int8_t", [str(value) for value in flat.tolist()]
    else:
        suffix = "f" if flat.dtype == np.float32 else ""
        kind, texts = ("float" if suffix else "double"), [number(value, suffix) for value in flat]
    return f"static const {kind} {name}[{flat.size}] = {{\n{filled(texts)}\n}};\n"


def filled(words: Iterable[str]) -> str:
    """Return words with commas between them, in indented lines."""
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > WIDTH:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line.removesuffix(",")])


def comment(text: str) -> str:
    """Return a text that can stand in a comment, whatever a user's column is called."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    while re.search(r"\*/|/\*|\?\?", shown):
        shown = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", shown)
    return shown.rstrip("\\ ")


def identifier(text: str, otherwise: str, taken: Iterable[str] = ()) -> str:
    """Return an identifier like a text, other than those that are taken; otherwise: a prefix, if it needs one."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or otherwise
    plain = f"{otherwise}_{plain}" if plain[0].isdigit() or plain in (KEYWORDS + MACROS).split() else plain
    plain, taken, found, i = plain[:40], set(taken), plain[:40], 1
    while found in taken:
        i += 1
        found = f"{plain}_{i}"
    return found


def is_identifier(text: str) -> bool:
    """Return whether a text is an identifier of C that no implementation reserves."""
    return re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", text) is not None and text not in KEYWORDS.split()
