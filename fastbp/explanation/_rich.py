"""An Explanation as rich tables. Only this module imports rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._extras import not_installed
from . import _text as words

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from ._explanation import Explanation


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


def whole(explanation: Explanation) -> Group:
    """Return the heading, units, chains, weights and remarks in a group."""
    rich = _rich()
    parts: list[Any] = [words.heading(explanation), f"J = {words.number(explanation.J)}", units(explanation)]
    if explanation.view == "paths":
        parts.append(chains(explanation))
    else:
        parts += words.matrices(explanation)
    if explanation.gradients:
        parts.append(weights(explanation))
    texts = [*words.agreement(explanation), *explanation.remarks]
    return rich.console.Group(*(rich.text.Text(part) if isinstance(part, str) else part for part in (*parts, *texts)))


def units(explanation: Explanation) -> Table:
    """Return the table of what each unit computes."""
    return _table("What each unit computes", words.unit_rows(explanation))


def chains(explanation: Explanation) -> Table:
    """Return the table of every weight's paths: the derivatives, the numbers below them, and the product."""
    m = len(explanation.layers[0].a)
    rows = []
    for derivative in explanation.gradients:
        for path, symbols, numbers in words.chain_rows(derivative):
            chain = f"{symbols}\n{numbers}"
            rows.append((str(derivative.symbol), words.route(path, m), chain, words.number(path.product)))
    table = words.first_rows(("weight", "path", "chain", "product"), rows)
    return _table("The paths from the weights to J", table, left=3)


def weights(explanation: Explanation) -> Table:
    """Return the table of the sums over the paths, the gradients of the reference and the kernels, and the step."""
    eta = words.number(explanation.learning_rate)
    return _table(f"The weights, and a step of gradient descent with η = {eta}", words.update_rows(explanation))


def _table(title: str, rows: words.Rows, left: int = 1) -> Table:
    """Return a table; left: how many columns are aligned to the left."""
    rich = _rich()
    caption = f"… and {rows.left_out:,} more" if rows.left_out else None
    table: Table = rich.table.Table(title=title, caption=caption, box=rich.box.SIMPLE)
    head, *shown = rows.shown
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i < left else "right")
    for row in shown:
        table.add_row(*map(rich.text.Text, row))
    return table
