"""An explanation as one HTML page: the template explain.html, filled with the numbers."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import Any

from . import _text
from ._chains import WeightPath, number, route
from ._records import Derivative, Quantities

MAX_DRAWN = 16  # the most layers, and units in a layer, of a picture


def page(explanation: Quantities) -> str:
    """Return the whole page, which is self-contained."""
    template = (resources.files(__package__) / "explain.html").read_text(encoding="utf-8")
    contents = {
        "heading": escape(_text.heading(explanation)),
        "J": number(explanation.J),
        "agreement": escape(" ".join(_text.agreement(explanation))),
        "remarks": "".join(f"<p>{escape(remark)}</p>" for remark in _remarks(explanation)),
        "units": _table("units", "What each unit computes", _text.unit_rows(explanation)),
        "updates": _updates(explanation),
        "text": escape(_text.text(explanation)),
        "data": _json(data(explanation)),
    }
    for name, content in contents.items():
        template = template.replace(f"<!--{name}-->", content)
    return template


def frame(explanation: Quantities) -> str:
    """Return the page in a frame, so that its styles and scripts don't affect a notebook."""
    source = escape(page(explanation), quote=True)
    return f'<iframe title="fastbp.explain" srcdoc="{source}" style="width:100%;height:54rem;border:0"></iframe>'


def data(explanation: Quantities) -> dict[str, Any]:
    """Return what the page's script draws, as plain numbers and lists. The lists are empty if it draws nothing."""
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


def is_drawn(explanation: Quantities) -> bool:
    """Return whether the page has a picture in which you can choose weights."""
    return max(*explanation.sizes, len(explanation.sizes)) <= MAX_DRAWN and bool(explanation.gradients)


def _remarks(explanation: Quantities) -> tuple[str, ...]:
    """Return the remarks, and that there is no picture if the page has none."""
    if is_drawn(explanation):
        return explanation.remarks
    return *explanation.remarks, f"The network is too large for a picture ({MAX_DRAWN} layers of {MAX_DRAWN} units)."


def weight(derivative: Derivative, m: int) -> dict[str, Any]:
    """Return a weight with its paths as plain numbers and lists, for m samples."""
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


def _path(path: WeightPath, m: int) -> dict[str, Any]:
    return {
        "sample": path.sample,
        "units": path.units,
        "route": route(path, m),
        "factors": [(str(factor), factor.value) for factor in path.factors],
        "product": path.product,
    }


def _identity(derivative: Derivative) -> str:
    """Return the fragment of a link to a weight."""
    return f"weight-{derivative.l}-{derivative.j}-{derivative.k}"


def _json(value: Any) -> str:
    """Return JSON that can't close the HTML element around it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _updates(explanation: Quantities) -> str:
    """Return the table of weights, each with a link to its chains if they are drawn."""
    if not explanation.gradients:
        return ""
    (head, *rows), left_out = _text.update_rows(explanation)
    if is_drawn(explanation):
        names = [f'<a href="#{_identity(g)}">{row[0]}</a>' for g, row in zip(explanation.gradients, rows, strict=False)]
        rows = [(name, *row[1:]) for name, row in zip(names, rows, strict=True)]
    caption = f"The weights, and a step of gradient descent with η = {number(explanation.learning_rate)}"
    return _table("updates", caption, _text.Rows([head, *rows], left_out))


def _table(name: str, caption: str, rows: _text.Rows) -> str:
    """Return an HTML table. The first column names the rows; the cells are HTML."""
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
