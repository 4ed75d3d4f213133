"""Starting up: the cache on disk, the word about compiling, python -m fastbp.warmup; in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PREDICT = "import numpy as np, fastbp; print(fastbp.Trainer([2, 1], seed=0).predict(np.ones((1, 2), np.float32))[0, 0])"


def python(code: str, root: Path = ROOT, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
    )


def finished(process: subprocess.Popen) -> tuple[str, str]:
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    return out, err


@pytest.fixture
def copy(tmp_path) -> Path:
    """A copy of the package, without its cache."""
    shutil.copytree(ROOT / "fastbp", tmp_path / "fastbp", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_eight_processes_on_an_empty_cache(tmp_path):
    processes = [python(PREDICT, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(8)]
    assert len({finished(process)[0] for process in processes}) == 1


def test_a_second_process_finds_the_kernels_on_disk(tmp_path):
    code = PREDICT + "; from fastbp._kernels import epoch; print(sum(epoch.evaluate.stats.cache_hits.values()))"
    hits = [finished(python(code, NUMBA_CACHE_DIR=str(tmp_path)))[0].split()[-1] for _ in range(2)]
    assert hits == ["0", "1"]


def test_an_edit_of_any_kernel_file_makes_all_machine_code_old(copy):
    """Numba alone would look at epoch.py, and run the old activation inside it."""
    code = (
        "import numpy as np, fastbp; t = fastbp.Trainer([1, 1], output_activation='relu', seed=0); "
        "t.weights[0][...] = -1; t.biases[0][...] = 0; print(t.predict(np.ones((1, 1), np.float32))[0, 0])"
    )
    assert float(finished(python(code, copy))[0]) == 0
    path = copy / "fastbp" / "_kernels" / "activations.py"
    source = path.read_text()
    assert "at_least(load(z, i, 1), 0)" in source
    path.write_text(source.replace("at_least(load(z, i, 1), 0)", "at_least(load(z, i, 1), -7)"))
    assert float(finished(python(code, copy))[0]) == -1


def test_without_a_folder_for_the_cache_there_is_one_warning_and_everything_works(copy):
    (copy / "fastbp" / "_kernels" / "__pycache__").write_text("a file, where the folder would be")
    nowhere = str(copy / "fastbp" / "_kernels" / "__pycache__" / "below a file")
    out, err = finished(python(PREDICT, copy, HOME=nowhere, XDG_CACHE_HOME=nowhere, PYTHONDONTWRITEBYTECODE="1"))
    assert float(out) != 0
    assert err.count("RuntimeWarning: fastbp: no folder to keep compiled kernels in") == 1


FIT = (
    "import numpy as np, fastbp; fastbp.Trainer([40, 30, 1]).fit(np.ones((4, 40), np.float32), np.ones(4), verbose={})"
)


@pytest.mark.parametrize(("verbose", "said"), [(2, 1), (0, 0)])
def test_compiling_is_said_once_it_takes_over_a_second(tmp_path, verbose, said):
    _, err = finished(python(FIT.format(verbose), NUMBA_CACHE_DIR=str(tmp_path)))
    assert err.count("fastbp: compiling the kernels for this machine") == said
    _, err = finished(python(FIT.format(verbose), NUMBA_CACHE_DIR=str(tmp_path)))
    assert err == ""


def test_warm_up_fills_the_cache(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "fastbp.warmup", "--dtype", "float32"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=110,
        check=True,
    )
    assert done.stdout.startswith("kernels ready in ")
    assert str(tmp_path) in done.stdout
    code = FIT.format(0) + "; from fastbp._kernels import epoch; print(sum(epoch.train.stats.cache_misses.values()))"
    assert finished(python(code, NUMBA_CACHE_DIR=str(tmp_path)))[0].strip() == "0"
