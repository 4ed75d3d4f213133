"""An explanation as tables of rich. Only this module imports rich at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._extras import not_installed
from . import _text
from ._chains import chain_rows, number, route
from ._records import Quantities

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def _rich() -> Any:
    """Return rich's classes, or raise an ImportError that names the extra to install."""
    try:
        import rich.box
        import rich.console
        import rich.table
        import rich.text
    except ImportError:
        raise not_installed("a rich table needs rich", "rich") from None
    return rich


def whole(explanation: Quantities) -> Group:
    """Return the whole explanation: heading, units, chains, weights and remarks."""
    rich = _rich()
    items: list[Any] = [_text.heading(explanation), f"J = {number(explanation.J)}", units(explanation)]
    if explanation.view == "paths":
        items.append(chains(explanation))
    else:
        items += _text.matrices(explanation)
    if explanation.gradients:
        items.append(weights(explanation))
    items += [*_text.agreement(explanation), *explanation.remarks]
    return rich.console.Group(*(rich.text.Text(item) if isinstance(item, str) else item for item in items))


def units(explanation: Quantities) -> Table:
    """Return the table of what each unit computes."""
    return _table("What each unit computes", _text.unit_rows(explanation))


def chains(explanation: Quantities) -> Table:
    """Return the table of every weight's paths: the derivatives, the numbers below them, and the product."""
    m = len(explanation.layers[0].a)
    rows = []
    for derivative in explanation.gradients:
        for path, symbols, numbers in chain_rows(derivative.paths):
            chain = f"{symbols}\n{numbers}"
            rows.append((str(derivative.symbol), route(path, m), chain, number(path.product)))
    table = _text.first_rows(("weight", "path", "chain", "product"), rows)
    return _table("The paths from the weights to J", table, left=3)


def weights(explanation: Quantities) -> Table:
    """Return the table of the sums over the paths, the gradients of the reference and the kernels, and the update."""
    eta = number(explanation.learning_rate)
    return _table(f"The weights, and a step of gradient descent with η = {eta}", _text.update_rows(explanation))


def _table(title: str, rows: _text.Rows, left: int = 1) -> Table:
    """Return a table of rich, whose first columns, as many as `left` says, are aligned to the left."""
    rich = _rich()
    caption = f"… and {rows.left_out:,} more" if rows.left_out else None
    table: Table = rich.table.Table(title=title, caption=caption, box=rich.box.SIMPLE)
    head, *shown = rows.shown
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i < left else "right")
    for row in shown:
        table.add_row(*map(rich.text.Text, row))
    return table
