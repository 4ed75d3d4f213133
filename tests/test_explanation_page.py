"""The HTML page of an explanation: it is whole, needs no network, and does in a browser what it should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas
import pytest

from fastbp import Trainer, explain
from fastbp.explanation import contributions

from .test_explanation import example


class Reader(HTMLParser):
    """Reads ids, addresses and the data of a page, and checks that all elements are closed."""

    EMPTY = ("meta", "input", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids, self.addresses, self.open, self.data = [], [], [], ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "action"):
                self.addresses.append(value)
        if tag not in self.EMPTY:
            self.open.append((tag, dict(attributes).get("id")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == ("script", "data"):
            self.data += data


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 2, 2)], ids=str)
def test_the_page_is_whole_and_needs_no_network(sizes, tmp_path):
    found = example(sizes)
    page = found.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    reader = Reader(page)
    assert len(set(reader.ids)) == len(reader.ids)
    assert reader.addresses == [f"#weight-{g.l}-{g.j}-{g.k}" for g in found.gradients]
    assert not re.search(r"https?:|//\w+\.\w|url\(|@import|fetch\(|XMLHttp", page)
    assert "<!--" not in page.split("<!DOCTYPE html>")[1]
    data = json.loads(reader.data)
    assert (data["n_derivatives"], data["J"]) == (found.n_derivatives, found.J)
    for weight, g in zip(data["weights"], found.gradients, strict=True):
        assert (weight["symbol"], weight["sum"], weight["kernel"]) == (str(g.symbol), g.sum, g.kernel)
        assert [path["product"] for path in weight["paths"]] == [path.product for path in g.paths]
        factors = [[[str(factor), factor.value] for factor in path.factors] for path in g.paths]
        assert [path["factors"] for path in weight["paths"]] == factors
    assert [layer["a"] for layer in data["layers"]] == [layer.a.tolist() for layer in found.layers]


def test_a_notebook_shows_the_page_in_a_frame():
    found = example()
    shown = re.fullmatch(
        r'<iframe title="fastbp.explain" srcdoc="([^"]*)" style="[^"]*"></iframe>', found._repr_html_()
    )
    assert shown
    assert unescape(shown[1]) == found.to_html()


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to open the page with")


def dom(address: str, tmp_path) -> str:
    """Return the elements of a page after a browser has run its scripts."""
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return done.stdout


def numbers_of(page: str, **attributes: str) -> list[float]:
    """Return all numbers, unrounded, in the elements of a page with this attribute."""
    ((name, value),) = attributes.items()
    return [float(number) for number in re.findall(rf'<data value="([^"]*)" {name.rstrip("_")}="{value}"', page)]


@needs_chromium
@pytest.mark.parametrize(("sizes", "weight"), [((1, 1, 1), (1, 1, 1)), ((2, 2, 2), (1, 2, 1)), ((2, 2, 2), (2, 1, 2))])
def test_a_browser_shows_the_chains_of_the_weight_that_a_link_names(sizes, weight, tmp_path):
    found = example(sizes)
    g = found.gradient(*weight)
    found.to_html(tmp_path / "page.html")
    page = dom(f"file://{tmp_path}/page.html#weight-{g.l}-{g.j}-{g.k}", tmp_path)
    assert f'<h2 id="chosen">∂J/∂{g.symbol}</h2>' in page
    assert numbers_of(page, class_="product") == [path.product for path in g.paths]
    assert numbers_of(page, class_="factor") == [factor.value for path in g.paths for factor in path.factors]
    np.testing.assert_allclose(numbers_of(page, id="sum"), g.reference, rtol=1e-12)
    assert numbers_of(page, id="reference") == [g.reference]
    assert numbers_of(page, id="kernel") == [g.kernel]
    assert numbers_of(page, id="updated") == [g.updated]
    assert page.count('class="weight') == len(found.gradients)
    assert len(re.findall(r'class="weight[^"]* lit', page)) == 1 + sizes[2] * (g.l == 1)
    assert f"δ²₁ = {found.layers[1].delta[0, 0]:.4g}" in page


FORWARD, BACKWARD = "Step {} of 5, forward: ", "Step {} of 5, backward: "
STEPS = (
    ("", ["a¹"], FORWARD.format(1) + "a¹ = X: the inputs."),
    ("next", ["a¹", "z²", "a²"], FORWARD.format(2) + "z² = a¹ Θ¹ᵀ, and a² = f(z²) with f = sigmoid."),
    ("next previous", ["a¹"], FORWARD.format(1) + "a¹ = X: the inputs."),
    ("previous", ["a¹"], FORWARD.format(1) + "a¹ = X: the inputs."),
    (
        "next next next",
        ["a¹", "z²", "a²", "z³", "a³", "δ³"],
        BACKWARD.format(4) + "δ³ = ∂J/∂z³, and so ∂J/∂Θ² = (δ³)ᵀ a².",
    ),
    (
        "all",
        ["a¹", "z²", "a²", "δ²", "z³", "a³", "δ³"],
        BACKWARD.format(5) + "δ² = (δ³ Θ²) ⊙ f′(z²), and so ∂J/∂Θ¹ = (δ²)ᵀ a¹.",
    ),
    (
        "all previous",
        ["a¹", "z²", "a²", "z³", "a³", "δ³"],
        BACKWARD.format(4) + "δ³ = ∂J/∂z³, and so ∂J/∂Θ² = (δ³)ᵀ a².",
    ),
    ("all again", ["a¹"], FORWARD.format(1) + "a¹ = X: the inputs."),
)


def answer(page: str, script: str, tmp_path) -> Any:
    """Return what an expression of the page's script is, in a browser."""
    call = f"document.title = JSON.stringify((() => {{ {script} }})())"
    (tmp_path / "page.html").write_text(page.replace("</body>", f"<script>{call}</script></body>"), encoding="utf-8")
    return title_of(dom(f"file://{tmp_path}/page.html", tmp_path))


def title_of(page: str) -> Any:
    return json.loads(unescape(re.search(r"<title>(.*?)</title>", page, re.S)[1]))


@needs_chromium
def test_buttons_step_forward_and_back(tmp_path):
    """One browser clicks through all steps."""
    sequences = json.dumps([["again", *clicks.split()] for clicks, _, _ in STEPS])
    script = f"""return {sequences}.map(clicks => {{
        clicks.forEach(name => at(name).click());
        const texts = [...document.querySelectorAll("text.z, text.a, text.delta")].map(text => text.textContent);
        return [texts, at("status").textContent];
    }})"""
    found = answer(example().to_html(), script, tmp_path)
    for (clicks, shown, status), (texts, said) in zip(STEPS, found, strict=True):
        assert (clicks, list(dict.fromkeys(text[:2] for text in texts if text)), said) == (clicks, shown, status)


@needs_chromium
@pytest.mark.parametrize(
    "script",
    [
        'at("line-1-2-1").dispatchEvent(new PointerEvent("pointerenter"));',
        'at("line-1-2-1").dispatchEvent(new MouseEvent("click"));',
        """at("line-1-1-1").focus();
        const press = () => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
        press(); press();
        """,
        "document.querySelectorAll('#updates a')[2].click();",
        """at("unit-1-1").dispatchEvent(new MouseEvent("click"));
        document.querySelectorAll("#chains button")[1].click();
        """,
        """at("unit-2-1").focus();
        const press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key}));
        press("ArrowDown"); press("Enter");
        document.querySelector("#chains button").click();
        """,
    ],
    ids=["pointer", "click", "keys", "table", "unit", "unit by keys"],
)
def test_a_weight_is_chosen_by_whatever_means(script, tmp_path):
    page = example().to_html().replace("</body>", f"<script>{script}</script></body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    page = dom(f"file://{tmp_path}/page.html", tmp_path)
    assert '<h2 id="chosen">∂J/∂θ¹₂₁</h2>' in page
    assert len(numbers_of(page, class_="product")) == 2
    assert page.count('aria-pressed="true"') == len(re.findall(r'class="weight[^"]*"[^>]* tabindex="0"', page)) == 1
    assert len(re.findall(r'class="unit[^"]*"[^>]* tabindex="0"', page)) == 1


# Contributions, names and large networks


def contributed(sizes=(4, 8, 3), m: int = 3):
    """Return the contributions to some samples with names, and one step for them."""
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(rng.normal(size=(40, sizes[0])), columns=[f"column {j} <b>" for j in range(sizes[0])])
    y = rng.integers(0, sizes[-1], 40)
    trainer = Trainer(sizes, loss="cross_entropy", activation="relu", initializer="he", seed=0)
    trainer.fit(frame, y, epochs=1, verbose=0)
    found = contributions(trainer, frame[:m], baseline=frame.mean())
    return found, explain(trainer, frame[:m], y[:m])


def test_the_page_shows_every_contribution():
    found, explanation = contributed()
    page = found.to_html(explanation=explanation)
    Reader(page)
    for i, article in enumerate(re.findall(r'<article class="told">(.*?)</article>', page, re.S)):
        shown = dict(re.findall(r'<th scope="row">(.*?)<span.*?</th><td>(.*?)</td>', article))
        values = {
            name.replace("<", "&lt;").replace(">", "&gt;"): value
            for name, value in zip(found.names, found.values[i], strict=True)
        }
        assert shown.keys() == values.keys()
        for name, text in shown.items():
            assert float(text) == pytest.approx(values[name], rel=1e-2, abs=1e-3)
        widths = [float(width) for width in re.findall(r"width:([\d.]+)%", article)]
        assert max(widths) in (50, 100)
        assert all(0 <= width <= 100 for width in widths)
    assert page.count('<article class="told">') == 3
    assert "Average over the 3 samples" in page
    alone = found.to_html()
    assert 'id="drawing"' not in alone
    assert found._repr_html_().startswith('<iframe title="fastbp.explain"')


@needs_chromium
def test_one_sample_is_shown_at_a_time(tmp_path):
    found, explanation = contributed()
    script = """return ["", "after", "after", "after", "before"].map(id => {
        if (id) at(id).click();
        const visible = [...document.querySelectorAll(".told")].map(one => one.hidden ? 0 : 1);
        at("all").click();
        return [visible, at("sample").value, at("unit-1-1").querySelector(".a").textContent];
    })"""
    shown = answer(found.to_html(explanation=explanation), script, tmp_path)
    for (visible, value, text), i in zip(shown, (0, 1, 2, 2, 1), strict=True):
        assert visible == [int(i == j) for j in range(3)]
        assert value == str(i)
        assert float(text.split(" = ")[1]) == pytest.approx(explanation.layers[0].a[i, 0], rel=1e-3)


@needs_chromium
def test_a_unit_shows_its_name_its_numbers_and_its_weights(tmp_path):
    found, explanation = contributed()
    script = """at("unit-1-2").dispatchEvent(new MouseEvent("click"));
        const panel = at("chains");
        return [at("chosen").textContent, panel.textContent, panel.querySelectorAll("button").length]"""
    title, text, count = answer(found.to_html(explanation=explanation), script, tmp_path)
    assert title == "Unit 2 of layer 1: column 1 <b>"
    assert f"a¹₂ = {explanation.layers[0].a[0, 1]:.6g}" in text
    assert count == 8


LARGE = (200, 256, 128, 10)


def test_large_networks_are_folded():
    found, explanation = contributed(LARGE, 1)
    units = explanation.shown_units
    assert [len(kept) for kept in units] == [8, 8, 8, 10]
    assert len(explanation.pictured) == 2 * 9 * 8 + 9 * 10
    for g in explanation.pictured:
        (path,) = g.paths
        np.testing.assert_allclose(g.sum, g.reference, rtol=1e-12)
        assert path.units == (g.k, g.j)
        assert g.j - 1 in units[g.l]
    delta = explanation.layers[1].delta[0]
    inputs = np.abs(explanation.layers[0].a[0] * (delta @ found_weights(explanation)))
    assert set(units[0]) == set(np.argsort(-inputs)[:8])
    page = found.to_html(explanation=explanation)
    assert len(page) < 400_000
    assert "folds the others" in page


def found_weights(explanation) -> np.ndarray:
    """Return Θ¹, which the gradients don't tell, from a trainer made in the same way."""
    rng = np.random.default_rng(0)
    frame = rng.normal(size=(40, LARGE[0]))
    y = rng.integers(0, LARGE[-1], 40)
    trainer = Trainer(LARGE, loss="cross_entropy", activation="relu", initializer="he", seed=0)
    trainer.fit(frame, y, epochs=1, verbose=0)
    return trainer.weights[0].astype(np.float64)


def test_deep_networks_and_many_samples_are_folded():
    deep = explain(Trainer([2] * 40, seed=0), [1, 2], [0, 1])
    assert [l for l, units in enumerate(deep.shown_units, start=1) if units] == [1, 2, 3, 4, 37, 38, 39, 40]
    many = explain(Trainer([10, 16, 3], seed=0), np.ones((300, 10)), np.zeros((300, 3)))
    assert max(map(len, many.shown_units)) < 10
    assert many.pictured
    most = explain(Trainer([10, 16, 3], seed=0), np.ones((3000, 10)), np.zeros((3000, 3)))
    assert not most.pictured
    assert "too many samples for a picture" in most.to_html()


@pytest.mark.parametrize("weight", [(20, 2, 1), (20, 1, 0), (1, 1, 1), (39, 2, 2)], ids=str)
def test_a_weight_that_is_asked_for_is_shown_however_deep_the_network(weight):
    l, j, k = weight
    found = explain(Trainer([2] * 40, seed=0), [1, 2], [0, 1], weight=weight)
    assert j - 1 in found.shown_units[l]
    assert max(k - 1, 0) in found.shown_units[l - 1]
    g = found.gradient(*weight)
    np.testing.assert_allclose(g.sum, g.reference, rtol=1e-12)
    assert f'href="#weight-{l}-{j}-{k}"' in found.to_html()


def test_a_weight_of_many_samples_is_shown():
    x, y = np.ones((3000, 10)), np.zeros((3000, 3))
    found = explain(Trainer([10, 16, 3], seed=0), x, y, weight=(1, 3, 2))
    assert [(g.l, g.j, g.k) for g in found.pictured] == [(1, 3, 2), (1, 3, 0)]


@pytest.mark.parametrize("weight", [(0, 1, 1), (2, 1, 1), (1, 3, 1), (1, 1, 3), (1, 1), "112", (1, 1, 0.5)], ids=str)
def test_a_weight_that_the_network_does_not_have_is_refused(weight):
    with pytest.raises((TypeError, ValueError), match="weight: expected"):
        explain(Trainer([2, 2], seed=0), [1, 2], [0, 1], weight=weight)


def large() -> str:
    found, explanation = contributed(LARGE, 2)
    return found.to_html(explanation=explanation)


def named() -> str:
    found, explanation = contributed()
    return found.to_html(explanation=explanation)


PAGES = {
    "small": lambda: example().to_html(),
    "named": named,
    "large": large,
    "deep": lambda: explain(Trainer([3, *[20] * 30, 2], seed=0), [1, 2, 3], [0, 1]).to_html(),
}
MEASURE = """
const frames = [...document.querySelectorAll("iframe")];
document.title = JSON.stringify(frames.map(frame => {
  const page = frame.contentDocument, root = page.documentElement, errors = frame.contentWindow.errors;
  page.querySelectorAll("details").forEach(one => { one.open = true; });
  const click = id => page.getElementById(id).click();
  ["next", "next", "previous", "all"].forEach(click);
  page.querySelector(".unit").dispatchEvent(new MouseEvent("click"));
  const small = [], outside = [];
  for (const one of page.querySelectorAll("button, select, summary, #updates a, .unit:not(.bias)")) {
    const box = one.getBoundingClientRect();
    if (!box.width) continue;
    if (box.height < 44 || box.width < 44) small.push(one.outerHTML.slice(0, 80));
    const scrolls = one.closest(".scroll"), isOutside = box.left < 0 || box.right > root.clientWidth;
    if (!scrolls && isOutside) outside.push(one.outerHTML.slice(0, 80));
  }
  const room = page.getElementById("scroll"), { hidden } = page.getElementById("drawing");
  const fits = room.scrollWidth <= room.clientWidth;
  return { wide: root.scrollWidth - root.clientWidth, small, outside, errors, hidden, fits };
}));
"""


@needs_chromium
@pytest.mark.parametrize("name", PAGES)
def test_the_page_fits_windows_of_any_width(name, tmp_path):
    """On 375, 1000 and 1600 pixels it doesn't scroll sideways, and a finger can hit everything that can be chosen."""
    page = PAGES[name]().replace(
        "<script>", "<script>var errors = []; onerror = text => errors.push(text);</script><script>", 1
    )
    frames = "".join(
        f'<iframe srcdoc="{escape(page, quote=True)}" style="width:{width}px;height:700px"></iframe>'
        for width in (375, 1000, 1600)
    )
    wrapper = f"<body>{frames}<script>onload = () => {{ {MEASURE} }}</script></body>"
    (tmp_path / "frames.html").write_text(wrapper, encoding="utf-8")
    found = title_of(dom(f"file://{tmp_path}/frames.html", tmp_path))
    assert len(found) == 3
    for one, width in zip(found, (375, 1000, 1600), strict=True):
        assert one["wide"] <= 0, width
        assert (one["errors"], one["outside"], one["hidden"]) == ([], [], False), width
        assert width > 375 or one["small"] == []
        assert one["fits"] or (name, width) in {("deep", 375), ("large", 375), ("deep", 1000)}


@needs_chromium
def test_no_name_runs_as_code(tmp_path):
    names = ["</script><script>hacked = 1</script>", "<img src=x onerror='hacked = 2'>", "\"'&<!--data-->"]
    frame = pandas.DataFrame(np.eye(3), columns=names)
    trainer = Trainer([3, 2, 1], seed=0)
    trainer.fit(frame, [1, 2, 3], epochs=1, verbose=0)
    page = contributions(trainer, frame, baseline=[0, 0, 0]).to_html(explanation=explain(trainer, frame, [1, 2, 3]))
    script = """at("unit-1-1").dispatchEvent(new MouseEvent("click"));
        return [typeof hacked, at("chosen").textContent, document.querySelectorAll("img").length]"""
    assert answer(page, script, tmp_path) == ["undefined", f"Unit 1 of layer 1: {names[0]}", 0]
