"""The class Explanation: all quantities of one step of the method, and how to print, draw and save them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _html, _rich, _text
from ._records import Derivative, Quantities

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class Explanation(Quantities):
    """All quantities of one step of the method. `text`, `latex` and `to_html` format them.

    Attributes
    ----------
    J : float
        The cost.
    sizes : tuple of int
        n_1 … n_L.
    layers : tuple
        Each layer has z, a, delta and slopes, (m, n_l); the inputs have only a.
    gradients : tuple of Derivative
        One for each weight, layer by layer. Empty if the paths are not written out (see ``view``) and there would be
        more than 10,000 terms in all.
    weight_gradients : list of (n_{l+1}, n_l)
        [∂J/∂Θ¹, …] from fastbp.reference.
    bias_gradients : list of (n_{l+1},)
        [∂J/∂b¹, …] from fastbp.reference; empty without bias units.
    loss : str
        Name of the loss.
    learning_rate : float
        η of the update.
    view : {"paths", "delta"}
        "paths" if the chains follow every path; "delta" if there are too many paths, so that the chains stop at δ:
        ∂J/∂Θˡ = (δˡ⁺¹)ᵀ aˡ.
    n_paths, n_derivatives : int
        Number of paths from the weights to the cost, and of local derivatives in their chains: 52 for the article's
        2-2-2 network.
    reference_difference, kernel_difference : float
        The largest difference between the sums over the paths (with "delta", the products with δ) and the gradients of
        fastbp.reference or of the kernels.
    remarks : tuple of str
        What was left out, and why.
    pictured : tuple of Derivative
        The weights that the picture of the page shows. It folds large layers and deep networks.
    shown_units : tuple
        For each layer the numbers of the units that the picture shows, from 0.
    input_names, output_names : tuple of str
        Names of the inputs and outputs; empty if they have none.
    """

    def gradient(self, l: int, j: int, k: int) -> Derivative:
        """Return ∂J/∂θˡ_jk; for k = 0, ∂J/∂bˡ_j.

        Raises
        ------
        KeyError
            If the explanation does not show such a weight. `explain` has an argument ``weight``, which it always shows.
        """
        for derivative in (*self.gradients, *self.pictured):
            if (derivative.l, derivative.j, derivative.k) == (l, j, k):
                return derivative
        raise KeyError((l, j, k))

    def text(self) -> str:
        """Return the whole explanation as text for a terminal."""
        return _text.text(self)

    def latex(self) -> str:
        """Return the equations with their numbers as a LaTeX aligned environment."""
        return _text.latex(self)

    def table(self) -> Table:
        """Return the weights as a table of rich: θ, the sum over the paths, both gradients and the update.

        A rich console also prints a whole Explanation.

        Returns
        -------
        rich.table.Table

        Raises
        ------
        ImportError
            If rich is not installed.
        ValueError
            If there are too many weights to show each.
        """
        if not self.gradients:
            raise ValueError("table: expected weights few enough to show each, got an explanation without `gradients`")
        return _rich.weights(self)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return an HTML page that shows each layer's values in turn, and the chains of the weight that you choose.

        Parameters
        ----------
        path : file to write it to, optional
            The page is self-contained and works offline.

        Returns
        -------
        str
            The page.
        """
        return _html.saved(self, None, path)

    def __str__(self) -> str:
        return self.text()

    def __rich__(self) -> Group:
        return _rich.whole(self)

    def _repr_html_(self) -> str:
        return _html.frame(self, None)
