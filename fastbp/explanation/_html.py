"""An explanation as one HTML page: the template explain.html, filled with the numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from .._checks import file_to_write
from .._terminal import clean, shortened
from .._writing import replacing
from . import _shares_html, _text
from ._chains import WeightPath, number, route
from ._folding import MOST
from ._records import Array, Derivative, LayerValues, Quantities
from ._told import Shares

STEPS = "Backpropagation, number by number"
TITLE = 80  # characters


def saved(explanation: Quantities | None, shares: Shares | None, path: str | os.PathLike[str] | None) -> str:
    """Return the page, as `page`, and write it to a file if there is a path."""
    place = None if path is None else file_to_write("path", path)
    text = page(explanation, shares)
    if place is not None:
        with replacing(place, text=True) as file:
            file.write(text)
    return text


def page(explanation: Quantities | None, shares: Shares | None) -> str:
    """Return the whole page, which is self-contained, of one of the two or both."""
    template = (resources.files(__package__) / "explain.html").read_text(encoding="utf-8")
    contents = {
        "title": escape(shortened(_title(explanation, shares), TITLE)),
        "heading": STEPS if shares is None else escape(_title(None, shares)),
        "contributions": "" if shares is None else _shares_html.section(shares),
        "steps": "" if explanation is None else _steps(explanation, is_second=shares is not None),
        "data": _json(data(explanation, shares)),
    }
    for name, content in contents.items():
        template = template.replace(f"<!--{name}-->", content)
    return template


def frame(explanation: Quantities | None, shares: Shares | None) -> str:
    """Return the page in a frame, so that its styles and scripts don't affect a notebook."""
    source = escape(page(explanation, shares), quote=True)
    return f'<iframe title="fastbp.explain" srcdoc="{source}" style="width:100%;height:54rem;border:0"></iframe>'


def _title(explanation: Quantities | None, shares: Shares | None) -> str:
    if shares is not None:
        told, m = shares.told[0], len(shares.told)
        return f"Explanation of {clean(told.label)}" if m == 1 else f"Explanation of {m:,} predictions"
    assert explanation is not None
    return f"Backpropagation of {_text.heading(explanation)}"


def _steps(explanation: Quantities, *, is_second: bool) -> str:
    """Return the part of the page that shows one step of backpropagation, with a heading if it is the second part."""
    template = (resources.files(__package__) / "steps.html").read_text(encoding="utf-8")
    contents = {
        "subheading": f"<h2>{STEPS}</h2>" if is_second else "",
        "heading": escape(_text.heading(explanation)),
        "J": number(explanation.J),
        "agreement": escape(" ".join(_text.agreement(explanation))),
        "remarks": "".join(f"<p>{escape(remark)}</p>" for remark in _remarks(explanation)),
        "units": _table("units", "What each unit computes", _text.unit_rows(explanation)),
        "updates": _updates(explanation),
        "text": escape(_text.text(explanation)),
    }
    for name, content in contents.items():
        template = template.replace(f"<!--{name}-->", content)
    return template


def data(explanation: Quantities | None, shares: Shares | None) -> dict[str, Any]:
    """Return what the page's script draws, as plain numbers and lists."""
    labels = [] if shares is None else [told.label for told in shares.told]
    if explanation is None:
        return {"labels": labels, "drawn": False}
    m = len(explanation.layers[0].a)
    return {
        "labels": labels or [str(s + 1) for s in range(m)],
        "J": explanation.J,
        "eta": explanation.learning_rate,
        "view": explanation.view,
        "n_paths": explanation.n_paths if is_drawn(explanation) else None,
        "n_derivatives": explanation.n_derivatives if is_drawn(explanation) else None,
        "drawn": is_drawn(explanation),
        "layers": [_layer(explanation, layer) for layer in explanation.layers if _units_of(explanation, layer)],
        "weights": [weight(derivative, m) for derivative in explanation.pictured],
    }


def is_drawn(explanation: Quantities) -> bool:
    """Return whether the page has a picture in which you can choose weights."""
    return bool(explanation.pictured)


def _units_of(explanation: Quantities, layer: LayerValues) -> list[int]:
    """Return the units of a layer that are drawn, from 0."""
    return list(explanation.shown_units[layer.l - 1]) if is_drawn(explanation) else []


def _layer(explanation: Quantities, layer: LayerValues) -> dict[str, Any]:
    """Return a layer that is drawn: its number and size, and the values of the units that are drawn."""
    units, names = _units_of(explanation, layer), explanation.names_of(layer)

    def values(array: Array | None) -> Any:
        return None if array is None else array[:, units].tolist()

    return {
        "l": layer.l,
        "size": layer.a.shape[1],
        "units": [i + 1 for i in units],
        "names": [clean(names[i]) for i in units] if names else None,
        "activation": layer.activation,
        "a": values(layer.a),
        "z": values(layer.z),
        "delta": values(layer.delta),
        "slopes": values(layer.slopes),
        "bias": bool(explanation.bias_gradients) and layer is not explanation.layers[-1],
    }


def _remarks(explanation: Quantities) -> tuple[str, ...]:
    """Return the remarks, and what the picture leaves out."""
    if not is_drawn(explanation):
        return *explanation.remarks, "There are too many samples for a picture."
    if all(len(units) == n for units, n in zip(explanation.shown_units, explanation.sizes, strict=True)):
        return explanation.remarks
    sentences = ["The picture shows the units that change J most, and folds the others."]
    if len(explanation.sizes) > MOST:
        sentences.append("It shows the first and the last layers, and folds those between them.")
    return *explanation.remarks, " ".join(sentences)


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
    """Return the table of weights, each with a link to its chains if it is drawn. If there are many, those drawn."""
    shown = _text.update_rows(explanation)
    if not shown.shown[1:] or shown.left_out:
        drawn = [_text.update_row(derivative) for derivative in explanation.pictured]
        shown = _text.first_rows(_text.UPDATES, drawn)
        derivatives = explanation.pictured
        left_out = sum(array.size for array in (*explanation.weight_gradients, *explanation.bias_gradients))
        shown = shown._replace(left_out=left_out - len(shown.shown) + 1)
    else:
        derivatives = explanation.gradients
    if not derivatives:
        return ""
    drawn_ones = {(g.l, g.j, g.k) for g in explanation.pictured}
    listed = derivatives[: len(shown.shown) - 1]
    links = [f"#{_identity(g)}" if (g.l, g.j, g.k) in drawn_ones else "" for g in listed]
    caption = f"The weights, and a step of gradient descent with η = {number(explanation.learning_rate)}"
    return _table("updates", caption, shown, links)


def _table(name: str, caption: str, rows: _text.Rows, links: Sequence[str] = ()) -> str:
    """Return an HTML table. The first column names the rows, each with a link if it has one that is not empty."""
    head, *shown = rows.shown
    names = "".join(f'<th scope="col">{escape(column)}</th>' for column in head)
    body = ""
    for (first, *others), link in zip(shown, links or [""] * len(shown), strict=True):
        linked = f'<a href="{link}">{escape(first)}</a>' if link else escape(first)
        body += f'<tr><th scope="row">{linked}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>\n'
    more = f"<p>… and {rows.left_out:,} more</p>" if rows.left_out else ""
    return (
        f'<div class="scroll"><table id="{name}"><caption>{caption}</caption><thead><tr>{names}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>{more}"
    )
