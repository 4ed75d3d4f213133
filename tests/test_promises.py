"""What the project promises of itself: no compilations, imports, documentation."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import fastbp
from fastbp import Trainer, fit_many, losses
from fastbp.activations import HIDDEN
from fastbp.optimizers import OPTIMIZERS
from tests.cases import one_of_one

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "fastbp").rglob("*.py"))
KERNEL_FILES = [path for path in FILES if path.parent.name == "_kernels"]


def use(trainer: Trainer, labels: bool = False) -> None:
    n_in, n_out = trainer.layer_sizes[0], trainer.layer_sizes[-1]
    X = np.random.default_rng(0).uniform(size=(9, n_in)).astype(trainer.dtype)
    y = np.arange(9) % n_out if labels else np.eye(n_out, dtype=trainer.dtype)[np.arange(9) % n_out]
    X.flags.writeable = labels
    trainer.fit(X, y, epochs=2, verbose=0)
    trainer.gradients(X, y)
    trainer.predict(X)
    trainer.evaluate(X, y, metrics=["mse"])


def use_every_option():
    for dtype in ("float32", "float64"):
        for sizes in ([1, 2], [3, 4, 5], [20, 17, 1, 2], [5, 5, 5, 5, 5, 5]):
            for loss in ("squared_error", "cross_entropy", "binary_cross_entropy"):
                for shuffle in (True, False):
                    trainer = Trainer(sizes, loss=loss, dtype=dtype, shuffle=shuffle, use_bias=shuffle)
                    use(trainer, labels=loss == "cross_entropy")
            for options in tour():
                use(Trainer(sizes, dtype=dtype, **{"learning_rate": 1e-3, **options}))
        X = np.ones((9, 3), dtype)
        Trainer([3, 4, 2], dtype=dtype).fit(X, X[:, :2], sample_weight=X[:, 0], verbose=0)
        for sizes, y in (
            ([3, 4, 2], np.eye(9, 2, dtype=dtype)),
            ([3, 1], np.ones(9, dtype)),
            ([3, 2], np.arange(9) % 2),
        ):
            loss = "cross_entropy" if y.dtype == int else "squared_error"
            for shuffle in (True, False):
                options = {"dtype": dtype, "loss": loss, "shuffle": shuffle, "n_threads": 1}
                fit_many([Trainer(sizes, **options) for _ in range(8)], X, y, n_threads=1, verbose=0)
            for options in tour():
                if options.get("optimizer") != "lbfgs":
                    use(one_of_one(Trainer(sizes, dtype=dtype, **{"learning_rate": 1e-3, **options})))


def test_no_network_needs_numba():
    """The kernels of a dtype serve all networks. This process can't import Numba."""
    run(
        "import sys; sys.modules['numba'] = sys.modules['llvmlite'] = None; from tests import test_promises; "
        "test_promises.use_every_option()"
    )


def tour() -> list[dict]:
    """Every option once, but for a loss of one's own, which Numba compiles."""
    signed = [losses.Hinge(), losses.Huber(0.5), losses.Quantile(0.3), "absolute_error", "poisson"]
    return [
        *({"activation": name} for name in HIDDEN),
        *({"optimizer": name} for name in OPTIMIZERS if name != "lbfgs"),
        {"optimizer": "lbfgs", "learning_rate": None},
        *({"loss": loss} for loss in signed),
        {"dropout": 0.5},
        {"l1": 0.1, "l2": 0.1, "clip_value": 1, "clip_norm": 1, "max_norm": 1},
        {"schedule": "cosine", "initializer": "he"},
    ]


def test_nothing_is_allocated_inside_an_epoch():
    """Ten thousand batches more cost no more memory. Kernels call no function but their own: none that allocates."""
    X = np.random.default_rng(0).uniform(size=(10_000, 3)).astype(np.float32)
    trainer = Trainer([3, 4, 2], batch_size=1, shuffle=False, seed=0)
    y = X[:, :2].copy()
    trainer.fit(X, y, verbose=0)
    tracemalloc.start()
    for epochs in (1, 3):
        trainer.fit(X, y, epochs=epochs, verbose=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_and_training_need_numpy_alone():
    code = """
import sys, numpy
import fastbp
fastbp.Trainer([3, 4, 2]).fit(numpy.ones((9, 3)), numpy.ones((9, 2)), verbose=0)
others = ("numba", "llvmlite", "matplotlib", "tqdm", "pandas", "pyarrow", "sklearn", "scipy", "torch")
print([name for name in others if name in sys.modules])
"""
    assert run(code).strip() == "[]"


def test_importing_changes_no_setting_of_the_host():
    code = """
import numba, numpy, warnings, signal
def state():
    config = {k: repr(v) for k, v in vars(numba.config).items() if k.isupper()}
    return config, numpy.geterr(), list(warnings.filters), signal.getsignal(signal.SIGINT)
before = state()
import fastbp
fastbp.Trainer([3, 4, 2]).predict(numpy.ones((9, 3)))
assert state() == before
"""
    run(code)


def test_jit_options_are_spelled_in_one_place():
    for path in KERNEL_FILES:
        wrong = r"\bnjit\b|fastmath|\bjit\(|prange|\bexec\(|jitclass"
        if path.name == "jit.py":
            wrong = r"\"(nnan|ninf|fast)\"|fastmath=True"
        assert not re.findall(wrong, path.read_text()), path.name


PUBLIC = {"numba", "numba.extending", "numba.types", "llvmlite", "llvmlite.ir", "llvmlite.binding"}  # modules
OF_TUPLES = {"_fields", "_replace", "_asdict", "_make"}  # public, although they begin like private ones


def private_uses(source: str) -> list[str]:
    """Return where a file uses what is private in Numba and llvmlite.

    In a file that imports one of them, every object may come from there, except self and cls.
    """
    tree = ast.parse(source)
    nodes, modules, found = list(ast.walk(tree)), {}, []
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.partition(".")[0]
                modules[alias.asname or package] = alias.name if alias.asname else package
                found += [alias.name] if package in {"numba", "llvmlite"} and alias.name not in PUBLIC else []
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in {"numba", "llvmlite"}:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                modules[alias.asname or alias.name] = name
                if node.module not in PUBLIC or alias.name.startswith("_") or name == "numba.core":
                    found.append(name)
        elif isinstance(node, ast.Constant) and re.match(r"(numba|llvmlite)\.", str(node.value)):
            found.append(node.value)
    if not any(name.partition(".")[0] in {"numba", "llvmlite"} for name in modules.values()):
        return found
    for node in nodes:
        if isinstance(node, ast.Attribute):
            of_module = isinstance(node.value, ast.Name) and modules.get(node.value.id) == "numba"
            of_self = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            is_private = node.attr.startswith("_") and not node.attr.endswith("__") and node.attr not in OF_TUPLES
            if (of_module and node.attr == "core") or (is_private and not of_self):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr", "hasattr", "delattr"}:
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            found += [ast.unparse(node)] if name.startswith("_") else []
    return found


def test_nothing_private_of_numba_or_llvmlite_is_used():
    found = {str(path.relative_to(ROOT)): private_uses(path.read_text("utf-8")) for path in FILES}
    assert not {path: uses for path, uses in found.items() if uses}


@pytest.mark.parametrize(
    "source",
    [
        "import numba.core.types",
        "import numba\nnumba.core.config",
        "import numba as n\nn.core.config",
        "from numba import core",
        "from numba import _helperlib",
        "from numba.core import cgutils",
        "from numba.core.typing import signature",
        "from llvmlite.ir import _utils",
        "from llvmlite.binding.ffi import lib",
        "from llvmlite import ir\nir.Module()._sequence",
        "from numba import njit\nnjit(f)._cache = 3",
        "from numba import njit\ngetattr(njit(f), '_cache')",
        "from importlib import import_module\nimport_module('numba.core.codegen')",
    ],
)
def test_private_members_are_found(source):
    assert private_uses(source)


def test_public_members_are_not_found():
    assert not private_uses(
        "from numba import njit, types\nfrom .codes import Layer\nLayer._fields, types.int64, self._x"
    )


def test_nothing_prints():
    for path in FILES:
        assert "print(" not in path.read_text("utf-8"), path


KERNEL = re.compile(r"(inner|apart|inlined|given|c_function|n?jit)\b")  # the decorators of jit.py, and Numba's own


def test_files_and_functions_are_short():
    """A file of fastbp has at most 400 lines, a kernel 40, any other function 60, without their docstrings."""
    long = []
    for path in FILES:
        source = path.read_text("utf-8")
        lines = len(source.splitlines())
        long += [f"{path.relative_to(ROOT)}: {lines}"] if lines > 400 else []
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                is_kernel = any(KERNEL.match(ast.unparse(each).removeprefix("jit.")) for each in node.decorator_list)
                first = node.body[0] if ast.get_docstring(node) is not None else None
                lines = node.end_lineno - node.lineno + 1 - (first.end_lineno - first.lineno + 1 if first else 0)
                if lines > (40 if is_kernel else 60):
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert not long, "\n".join(long)


def public_callables():
    for name in fastbp.__all__:
        item = getattr(fastbp, name)
        if inspect.isclass(item):
            yield name, item
            for method, function in vars(item).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{method}", function
        elif inspect.ismodule(item):
            for function_name, function in vars(item).items():
                if inspect.isfunction(function) and not function_name.startswith("_"):
                    yield f"{name}.{function_name}", function


def test_docstrings_name_the_arguments_of_the_signature():
    for name, item in public_callables():
        doc = inspect.getdoc(item)
        assert doc, name
        if "Parameters\n-" in doc:
            assert_arguments_are_documented(name, item, doc)


def assert_arguments_are_documented(name, item, doc):
    section = doc.split("Parameters\n----------\n")[1]
    section = re.split(r"\n\n?[A-Z][a-z ]+\n-{3,}\n", section)[0]
    documented = [
        argument.strip()
        for names in re.findall(r"^\*{0,2}([a-zA-Z_0-9, ]+?) : ", section, re.M)
        for argument in names.split(",")
    ]
    accepted = [p for p in inspect.signature(item).parameters if p != "self"]
    assert documented == accepted, name


def test_the_version_is_said_once():
    assert re.fullmatch(r"\d+\.\d+\.\d+", fastbp.__version__)
    assert f"[{fastbp.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_python_that_is_promised_is_tested():
    """The classifiers, nox and the workflow agree; 3.14t is the free-threaded build."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    promised += [f"{promised[-1]}t"] * ('"Programming Language :: Python :: Free Threading :: ' in project)
    told = re.search(r"^PYTHONS = \((.*)\)$", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.M)
    matrix = re.search(r"^ +python: \[(.*)\]$", (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"), re.M)
    for found in (told, matrix):
        assert re.findall(r'"([\d.t]+)"', found[1]) == promised
