"""The documentation keeps to the code: its blocks run, its links lead somewhere, its figures and names are right."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import re
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import fastbp
from fastbp import interop
from fastbp.warmup import warm_up

from .cases import KERAS_BACKEND
from .pages import FENCE, NOT_RUN, PICTURE, ROOT, agrees, blocks, check, pages

os.environ.setdefault("KERAS_BACKEND", KERAS_BACKEND)  # some names are those of Keras's layers
RUN = [page for page in pages() if blocks(page.read_text("utf-8"))]
NEEDS = {"from-pytorch.md": "torch", "from-keras.md": "keras", "interchange.md": "torch", "distributed.md": "mpi4py"}
APART = {"distributed.md"}  # MPI begins once in a process, and is told where it is by its environment
LINKING = [*pages(), *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "bench/README.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)]+)\)")
API = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "docs" / "api").glob("*.md")))
DOCUMENTED = re.findall(r"^::: ([\w.]+)$", API, re.M)
NOT_PUBLIC = {  # what only other modules call, in modules that have public names
    *("loss_of", "losses_with", "resolve_output", "encode", "padded", "optimizer_of", "limits", "schedule_of"),
    *("as_callbacks", "check_picture", "direction", "require_matplotlib", "save"),
}


def named(path: str) -> Any:
    """The object that a path such as fastbp.plots.network leads to."""
    parts = path.split(".")
    for n in range(len(parts), 0, -1):
        try:
            item = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for name in parts[n:]:
            item = getattr(item, name)
        return item
    raise AssertionError(path)


def public() -> list[str]:
    """fastbp.__all__, of its modules what they define, and __all__ of the three that are imported by themselves."""
    names = []
    for name in fastbp.__all__:
        item = getattr(fastbp, name)
        if not isinstance(item, ModuleType):
            names.append(f"fastbp.{name}")
            continue
        for inner, value in vars(item).items():
            module = getattr(value, "__module__", None) or ""  # of a package's classes, one of its modules
            own = f"{module}.".startswith(f"{item.__name__}.") and (inspect.isclass(value) or callable(value))
            if own and not inner.startswith("_") and inner not in NOT_PUBLIC:
                names.append(f"fastbp.{name}.{inner}")
    names += [f"fastbp.interop.{name}" for name in interop.__all__]
    for module in ("fastbp.sklearn", "fastbp.tabular"):
        names += [f"{module}.{name}" for name in importlib.import_module(module).__all__]
    return names


def test_every_public_name_is_on_a_page_of_the_api():
    missing = []
    for name in public():
        if name in DOCUMENTED:  # its optional library may be missing
            continue
        module, _, last = name.rpartition(".")
        modules = {module, getattr(named(name), "__module__", None)} - {"fastbp"}
        if not modules & set(DOCUMENTED):
            same = [other for other in DOCUMENTED if other.endswith(last)]
            missing += [] if any(named(other) is named(name) for other in same) else [name]
    assert not missing


def test_what_the_api_documents_is_there():
    for name in DOCUMENTED:
        if name.startswith("fastbp.interop.") and not name.endswith(("to_onnx", "safetensors")):
            assert name.rpartition(".")[2] in interop.__all__, name  # its library may be missing
        else:
            assert inspect.getdoc(named(name)), name


@pytest.fixture(scope="module")
def warm() -> None:
    """Kernels are there, so that no page waits for them."""
    warm_up()


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_block_of_a_page_runs_and_prints_what_the_page_shows(page, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", KERAS_BACKEND)
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name], reason=f"{NEEDS[page.name]} is not installed")
    if page.name in APART:
        code = f"from pathlib import Path; from tests.pages import check; check(Path({str(page)!r}))"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    else:
        check(page)


def test_what_is_not_run_is_on_a_page():
    commands = [block.code for page in RUN for block in blocks(page.read_text("utf-8"))]
    for start in NOT_RUN:
        assert any(command.startswith(start) for command in commands), start


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("loss 0.5123", "loss 0.5127", True),
        ("loss 0.51", "loss 0.61", False),
        ("rows  30", "rows 30", True),
        ("rows 30", "rows 31", False),
        ("a\n…\nz 1.0", "a\nb\nc\nz 1.01", True),
        ("a\n…\nz", "a\nb", False),
        ("took … s, 3 rows", "took 0.2 s, 3 rows", True),
        ("", "something", False),
        ("1,024 x", "1,024 x", True),
        ("[0 1 2]", "[0 1 3]", False),
    ],
)
def test_outputs_are_compared_by_text_and_number(shown, printed, same):
    assert agrees(shown, printed) is same


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_no_block_is_overlooked(page):
    text = page.read_text("utf-8")
    assert text.count("```") == 2 * len(FENCE.findall(text))
    assert {language for language, _ in FENCE.findall(text)} <= {"python", "console", "text", "c", ""}


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_links_and_pictures_of_a_page_are_there(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in [*LINK.findall(text), *PICTURE.findall(text)]:
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text("utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_link_texts_say_where_they_lead(page):
    for text in re.findall(r"(?<!!)\[([^\]]+)\]\([^)]+\)", page.read_text("utf-8")):
        assert text.lower() not in {"here", "this", "see", "link", "docs", "this page", "page"}
        assert not text.endswith(".md")


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_files_and_names_of_the_maps_are_there(page):
    text = re.sub(r"\s+", " ", (ROOT / page).read_text("utf-8"))
    files = set(re.findall(r"`((?:\w[\w.]*/)+(?:[\w.]+\.\w+)?)`", text))
    assert len(files) > 5
    for file in files:
        assert (ROOT / file).exists() or (ROOT / "fastbp" / file).exists(), file
    for name, file in re.findall(r"`(\w+)` (?:in|of) `([\w/.]+\.py)`", text):
        source = (ROOT / file).read_text("utf-8")
        assert re.search(rf"^(def {name}\(|class {name}\b|{name}\b.* = )", source, re.M), f"{name} in {file}"


def test_the_design_has_the_layers_of_the_contract():
    contract = (ROOT / "pyproject.toml").read_text("utf-8").split('containers = ["fastbp"]')[1].split("]")[0]
    layers = [set(re.findall(r"\w+", layer)) for layer in re.findall(r'"([^"]+)"', contract)]
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", (ROOT / "docs" / "design.md").read_text("utf-8"), re.M)
    assert [set(re.findall(r"\w+", row)) for row in rows] == layers


def test_the_figures_in_the_readme_are_those_of_its_table():
    text = (ROOT / "README.md").read_text("utf-8")
    table = text.split("Training in float32, ns per sample:")[1].split("`predict`")[0]
    rows = [[cell.strip(" *") for cell in row.split("|")[1:-1]] for row in table.split("\n\n")[1].splitlines()[2:]]
    *networks, mean = rows
    of_fann = {
        f"{sizes}, 1": ns for ns, sizes in re.findall(r"([\d,]+) ns for (\S+) with batch 1", table)
    }  # peers without a column
    ratios = []
    for row in networks:
        times = [*row[1:-3], of_fann.get(row[0], "–")]
        ours, *peers = (float(cell.replace(",", "")) for cell in times if cell != "–")
        ratios.append(float(row[-3]))
        assert ratios[-1] == pytest.approx(min(peers) / ours, rel=0.5 / ours + 0.01)
    geometric = math.prod(ratios) ** (1 / len(ratios))
    rounding = 0.005 + geometric * sum(0.005 / ratio for ratio in ratios) / len(ratios)  # of the mean, and of each
    assert float(mean[-3]) == pytest.approx(geometric, abs=rounding)
    for ratio in (f"**{mean[-3]}×**", f"{max(ratios):.2f}×", f"{min(ratios):.2f}×"):
        assert ratio in text


def test_each_formula_of_the_method_names_functions_that_are_there():
    text = (ROOT / "docs" / "method.md").read_text("utf-8")
    names = re.findall(r"`((?:reference|reference\.\w+|initializers|_kernels\.\w+)\.\w+)`", text)
    assert len(names) > 40
    for name in names:
        assert callable(named(f"fastbp.{name}")), name


def test_the_api_has_the_help_of_every_command():
    from fastbp._cli.parser import parser

    commands = parser()._subparsers._group_actions[0].choices
    assert re.findall(r"^<!-- fastbp (\w+) --help -->$", API, re.M) == list(commands)


def test_the_site_has_every_page_once():
    nav = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"([\w/-]+\.(?:md|ipynb))$", nav, re.M)
    there = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb")]
    assert sorted(listed) == sorted(path.relative_to(ROOT / "docs").as_posix() for path in there)
