"""An Explanation as one page of HTML: the template explain.html, with the numbers in it."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from . import _explain_text as words
from ._chains import Path

if TYPE_CHECKING:
    from .explanation import Derivative, Explanation

MAX_DRAWN = 16  # units of a layer, and layers, that a picture has room for


def page(explanation: Explanation) -> str:
    """The whole page; it needs nothing else."""
    template = (resources.files(__package__) / "explain.html").read_text(encoding="utf-8")
    contents = {
        "heading": escape(words.heading(explanation)),
        "J": words.number(explanation.J),
        "agreement": escape(" ".join(words.agreement(explanation))),
        "remarks": "".join(f"<p>{escape(remark)}</p>" for remark in _remarks(explanation)),
        "units": _table("units", "What each unit computes", words.unit_rows(explanation)),
        "updates": _updates(explanation),
        "text": escape(words.text(explanation)),
        "data": _json(data(explanation)),
    }
    for name, content in contents.items():
        template = template.replace(f"<!--{name}-->", content)
    return template


def frame(explanation: Explanation) -> str:
    """The page in a frame, whose styles and scripts leave a notebook alone."""
    source = escape(page(explanation), quote=True)
    return f'<iframe title="fastbp.explain" srcdoc="{source}" style="width:100%;height:54rem;border:0"></iframe>'


def data(explanation: Explanation) -> dict[str, Any]:
    """What the page's script draws, in plain numbers and lists; nothing of a network that it doesn't draw."""
    drawn, m = is_drawn(explanation), len(explanation.layers[0].a)
    return {
        "J": explanation.J,
        "eta": explanation.learning_rate,
        "view": explanation.view,
        "n_paths": explanation.n_paths if drawn else None,
        "n_derivatives": explanation.n_derivatives if drawn else None,
        "drawn": drawn,
        "layers": [
            {
                "activation": layer.activation,
                "a": layer.a.tolist(),
                "z": None if layer.z is None else layer.z.tolist(),
                "delta": None if layer.delta is None else layer.delta.tolist(),
                "slopes": None if layer.slopes is None else layer.slopes.tolist(),
                "bias": bool(explanation.bias_gradients) and layer is not explanation.layers[-1],
            }
            for layer in explanation.layers
            if drawn
        ],
        "weights": [weight(derivative, m) for derivative in explanation.gradients if drawn],
    }


def is_drawn(explanation: Explanation) -> bool:
    """Whether the page has a picture, in which weights can be chosen."""
    return max(*explanation.sizes, len(explanation.sizes)) <= MAX_DRAWN and bool(explanation.gradients)


def _remarks(explanation: Explanation) -> tuple[str, ...]:
    """What is left out, of the page too."""
    if is_drawn(explanation):
        return explanation.remarks
    return *explanation.remarks, f"The network is too large for a picture ({MAX_DRAWN} layers of {MAX_DRAWN} units)."


def weight(derivative: Derivative, m: int) -> dict[str, Any]:
    """A weight with its paths, in plain numbers and lists; of m samples."""
    return {
        "id": _identity(derivative),
        "symbol": str(derivative.symbol),
        "l": derivative.l,
        "j": derivative.j,
        "k": derivative.k,
        "theta": derivative.theta,
        "sum": derivative.sum,
        "reference": derivative.reference,
        "kernel": derivative.kernel,
        "updated": derivative.updated,
        "paths": [_path(path, m) for path in derivative.paths],
    }


def _path(path: Path, m: int) -> dict[str, Any]:
    return {
        "sample": path.sample,
        "units": path.units,
        "route": words.route(path, m),
        "factors": [(str(factor), factor.value) for factor in path.factors],
        "product": path.product,
    }


def _identity(derivative: Derivative) -> str:
    """What a link to a weight ends in."""
    return f"weight-{derivative.l}-{derivative.j}-{derivative.k}"


def _json(value: Any) -> str:
    """JSON that can't end the element it stands in."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _updates(explanation: Explanation) -> str:
    """The table of weights, each linked to its chains where they are drawn."""
    if not explanation.gradients:
        return ""
    (head, *rows), left_out = words.update_rows(explanation)
    if is_drawn(explanation):
        names = [f'<a href="#{_identity(g)}">{row[0]}</a>' for g, row in zip(explanation.gradients, rows, strict=False)]
        rows = [(name, *row[1:]) for name, row in zip(names, rows, strict=True)]
    caption = f"The weights, and a step of gradient descent with η = {words.number(explanation.learning_rate)}"
    return _table("updates", caption, words.Rows([head, *rows], left_out))


def _table(name: str, caption: str, rows: words.Rows) -> str:
    """The first column names the rows; cells are HTML."""
    head, *shown = rows.shown
    names = "".join(f'<th scope="col">{column}</th>' for column in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>\n' for row in shown
    )
    more = f"<p>… and {rows.left_out:,} more</p>" if rows.left_out else ""
    return (
        f'<div class="scroll"><table id="{name}"><caption>{caption}</caption><thead><tr>{names}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>{more}"
    )
