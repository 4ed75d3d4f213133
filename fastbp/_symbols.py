"""Symbols of the method with indices, as text and in LaTeX."""

from __future__ import annotations

from typing import NamedTuple

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LATEX = {"θ": r"\theta", "δ": r"\delta", "Θ": r"\Theta"}


class Symbol(NamedTuple):
    """A quantity of the method: J, Θ¹, z²₁, a²₁, δ²₁, θ¹₁₂ (to unit 1, from unit 2), b¹₁."""

    letter: str
    layer: int = 0
    units: tuple[int, ...] = ()

    @property
    def indices(self) -> str:
        """The numbers of the units, separated if one has two digits."""
        return ("," if max(self.units, default=0) > 9 else "").join(map(str, self.units))

    @property
    def latex(self) -> str:
        """The symbol in LaTeX."""
        letter = LATEX.get(self.letter, self.letter)
        return letter + f"^{{{self.layer}}}" * bool(self.layer) + f"_{{{self.indices}}}" * bool(self.units)

    def __str__(self) -> str:
        layer = str(self.layer).translate(SUPERSCRIPTS) if self.layer else ""
        return f"{self.letter}{layer}{self.indices.translate(SUBSCRIPTS)}"
