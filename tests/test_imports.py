"""What imports what, when: a process that starts, predicts or prints its help waits for nothing that it doesn't use."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from fastbp._cli.parser import COMMANDS, MODULES

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "fastbp").rglob("*.py"))
HEAVY = ("numba", "llvmlite", "pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "tqdm", "torch")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded(code: str, modules: tuple[str, ...]) -> list[str]:
    """Return which of the modules are loaded after the code ran in a process of its own."""
    return run(f"{code}\nimport sys\nprint(*(name for name in {modules!r} if name in sys.modules))").split()


USES = {
    "import": "import fastbp",
    "modules": """
import fastbp, importlib
for name in fastbp.__all__:
    getattr(fastbp, name)
names = "activations distributed initializers interop metrics progress tables tabular warmup"
for name in names.split():
    importlib.import_module(f"fastbp.{name}")
for name in ("__main__", "_cli.commands", "_cli.explaining", "_cli.machine", "_cli.training"):
    importlib.import_module(f"fastbp.{name}")
""",
    "trainer": "import fastbp; fastbp.Trainer([64, 32, 10])",
    "fit": """
import tempfile, numpy as np, fastbp
X, y = np.ones((9, 4)), np.ones(9)
trainer = fastbp.Trainer([4, 8, 1], optimizer="adam")
trainer.fit(X, y, epochs=2, validation_split=0.2, metrics=["mae"], verbose=0)
with tempfile.TemporaryDirectory() as folder:
    trainer.save(f"{folder}/model.npz")
    fastbp.Trainer.load(f"{folder}/model.npz").predict(X)
""",
}


@pytest.mark.parametrize("use", sorted(USES))
def test_nothing_heavy_is_imported(use):
    assert loaded(USES[use], HEAVY) == []


def test_a_trainer_imports_only_what_it_uses():
    others = ("numpy.ma", "zipfile", "pathlib", "difflib", "traceback", "asyncio", "subprocess", "logging")
    assert loaded(USES["trainer"], others) == loaded("import numpy", others)


def test_plain_networks_import_nothing_for_layers():
    parts = ("layers", "_layered", "_kernels.graph", "_engine.graph_engine", "_engine.plan", "_training.settings")
    modules = tuple(f"fastbp.{name}" for name in (*parts, "_training.sensitivities", "tabular"))
    assert loaded(USES["fit"], modules) == []


def test_help_needs_no_numpy():
    ask = "from fastbp.__main__ import main\ntry: main({!r})\nexcept SystemExit: print()"
    for arguments in (["--help"], ["train", "--help"], ["bench", "--help"], ["--version"]):
        last = run(f"{ask.format(arguments)}\nimport sys; print('numpy' in sys.modules)").splitlines()[-1]
        assert last == "False", arguments


def test_each_command_has_its_functions_docstring_as_help():
    for name, text in COMMANDS.items():
        module = importlib.import_module(f"fastbp._cli.{MODULES.get(name, 'commands')}")
        assert getattr(module, name).__doc__ == text


def test_numpy_is_imported_before_its_parts():
    """Of two threads, one would otherwise find half of NumPy, if each imports another module of fastbp first."""
    for path in FILES:
        found = False
        for node in ast.parse(path.read_text("utf-8")).body:
            for name in [alias.name for alias in node.names] if isinstance(node, ast.Import) else []:
                found |= name == "numpy"
                assert found or not name.startswith("numpy."), path
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("numpy."):
                assert found, path


AT_ONCE = """
import importlib, threading
names = ["fastbp." + name for name in "results trainer losses network many metrics streams reference".split()]
failed, start = [], threading.Barrier(len(names))
def load(name):
    start.wait()
    try:
        importlib.import_module(name)
    except Exception as error:
        failed.append((name, error))
threads = [threading.Thread(target=load, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failed)
"""


def test_threads_may_import_different_modules_at_once():
    for _ in range(3):
        assert run(AT_ONCE) == "[]"
