"""The HTML page of an explanation: it is whole, needs no network, and does in a browser what it should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

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


STEPS = (
    ("", ["a¹"], "a¹ = X: the inputs."),
    ("forward", ["a¹", "z²", "a²"], "z² = a¹ Θ¹ᵀ, and a² = f(z²) with f = sigmoid."),
    ("forward back", ["a¹", "z²", "a²"], "z² = a¹ Θ¹ᵀ, and a² = f(z²) with f = sigmoid."),
    ("forward forward back", ["a¹", "z²", "a²", "z³", "a³", "δ³"], "δ³ = ∂J/∂z³, and so ∂J/∂Θ² = (δ³)ᵀ a²."),
    ("all", ["a¹", "z²", "a²", "δ²", "z³", "a³", "δ³"], "δ² = (δ³ Θ²) ⊙ f′(z²), and so ∂J/∂Θ¹ = (δ²)ᵀ a¹."),
    ("all again", ["a¹"], "a¹ = X: the inputs."),
)


@needs_chromium
def test_buttons_step_forward_and_back(tmp_path):
    """One browser clicks through all steps and stores what the page shows in its title."""
    sequences = json.dumps([["again", *clicks.split()] for clicks, _, _ in STEPS])
    script = f"""document.title = JSON.stringify({sequences}.map(clicks => {{
        clicks.forEach(name => at(name).click());
        const texts = [...document.querySelectorAll("text.z, text.a, text.delta")].map(text => text.textContent);
        return [texts, at("status").textContent];
    }}))"""
    page = example().to_html().replace("</body>", f"<script>{script}</script></body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    page = dom(f"file://{tmp_path}/page.html", tmp_path)
    found = json.loads(unescape(re.search(r"<title>(.*?)</title>", page, re.S)[1]))
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
    ],
    ids=["pointer", "click", "keys", "table"],
)
def test_a_weight_is_chosen_by_whatever_means(script, tmp_path):
    page = example().to_html().replace("</body>", f"<script>{script}</script></body>")
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    page = dom(f"file://{tmp_path}/page.html", tmp_path)
    assert '<h2 id="chosen">∂J/∂θ¹₂₁</h2>' in page
    assert len(numbers_of(page, class_="product")) == 2
    assert page.count('aria-pressed="true"') == page.count('tabindex="0"') == 1
