"""What the project promises of itself: compilations, imports, documentation."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np

import fastbp
from fastbp import Trainer, fit_many, losses
from fastbp._kernels import epoch, small
from fastbp.activations import HIDDEN
from fastbp.optimizers import OPTIMIZERS
from tests.cases import one_of_one

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "fastbp").rglob("*.py"))
KERNEL_FILES = [path for path in FILES if path.parent.name == "_kernels"]
ENTRIES = (epoch.train, epoch.evaluate, epoch.update, small.train, small.train_each)


def use(trainer: Trainer, labels: bool = False) -> None:
    n_in, n_out = trainer.layer_sizes[0], trainer.layer_sizes[-1]
    X = np.random.default_rng(0).uniform(size=(9, n_in)).astype(trainer.dtype)
    y = np.arange(9) % n_out if labels else np.eye(n_out, dtype=trainer.dtype)[np.arange(9) % n_out]
    X.flags.writeable = labels
    trainer.fit(X, y, epochs=2, verbose=0)
    trainer.gradients(X, y)
    trainer.predict(X)
    trainer.evaluate(X, y, metrics=["mse"])


def test_one_compilation_per_dtype_serves_every_network():
    for dtype in ("float32", "float64"):
        for sizes in ([1, 2], [3, 4, 5], [20, 17, 1, 2], [5, 5, 5, 5, 5, 5]):
            for loss in ("squared_error", "cross_entropy", "binary_cross_entropy"):
                for shuffle in (True, False):
                    trainer = Trainer(sizes, loss=loss, dtype=dtype, shuffle=shuffle, use_bias=shuffle)
                    use(trainer, labels=loss == "cross_entropy")
            for options in tour():
                use(Trainer(sizes, dtype=dtype, **{"learning_rate": 1e-3, **options}))
        own = lambda a, y: ((a - y) ** 4, 4 * (a - y) ** 3)  # noqa: E731
        use(Trainer([3, 4, 5], dtype=dtype, loss=own, learning_rate=1e-3))
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
    for entry in ENTRIES:
        assert len(entry.signatures) == 2, entry.__name__
    assert len(epoch.reorder.signatures) == 1


def tour() -> list[dict]:
    """Every option once, but for a loss of one's own, which each network compiles."""
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
    """Ten thousand batches more cost no more memory; Numba's allocations and NumPy's are both counted."""
    from numba.core.runtime import _nrt_python, rtsys

    _nrt_python.memsys_enable_stats()
    X = np.random.default_rng(0).uniform(size=(10_000, 3)).astype(np.float32)
    trainer = Trainer([3, 4, 2], batch_size=1, shuffle=False, seed=0)
    y = X[:, :2].copy()
    trainer.fit(X, y, verbose=0)
    tracemalloc.start()
    allocated = []
    for epochs in (1, 3):
        before = rtsys.get_allocation_stats().alloc
        trainer.fit(X, y, epochs=epochs, verbose=0)
        allocated.append(rtsys.get_allocation_stats().alloc - before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(allocated) < 50
    assert peak < 50_000


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_compiles_nothing_and_needs_numpy_and_numba_alone():
    code = """
import sys
import fastbp
from fastbp._kernels import epoch
assert not epoch.train.signatures
print([name for name in ("matplotlib", "tqdm", "pandas", "pyarrow", "sklearn", "torch") if name in sys.modules])
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
assert state() == before
"""
    run(code)


def test_jit_options_are_spelled_in_one_place():
    for path in KERNEL_FILES:
        wrong = r"\bnjit\b|fastmath|\bjit\(|prange|\bexec\(|jitclass"
        if path.name == "jit.py":
            wrong = r"\"(nnan|ninf|fast)\"|fastmath=True"
        assert not re.findall(wrong, path.read_text()), path.name


def test_nothing_prints():
    for path in FILES:
        assert "print(" not in path.read_text("utf-8"), path


KERNEL = re.compile(r"(kernel|quick|inner|apart|inlined|n?jit)\b")  # the decorators of jit.py, and Numba's own


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
