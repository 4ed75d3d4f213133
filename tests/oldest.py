"""fastbp with the oldest numpy, numba and scikit-learn that pyproject.toml admits: make oldest.

python -m tests.oldest           a short comparison with the reference, in this process and in one more
python tests/oldest.py --pins    what pip is to install for it
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CORE = ("numpy", "numba")
# The first that are built for a Python, where those are newer than what pyproject.toml admits
FIRST = {
    "3.12": {"numpy": "1.26"},
    "3.13": {"numpy": "2.1"},
    "3.14": {"numpy": "2.3", "numba": "0.63"},
    "3.14t": {"numpy": "2.3", "numba": "0.65"},
}
EPOCHS, BATCH_SIZE = 3, 16
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
CHECK_AGAIN = "import sys; from tests import oldest; oldest.check(); print('numba' in sys.modules)"


def pins(python: str, packages: tuple[str, ...] = CORE) -> list[str]:
    """What pip is to install on a Python such as "3.12": numpy==1.26.*, numba==0.62.*."""
    bounds = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    first = FIRST.get(python, {})
    return [f"{package}=={first.get(package, bounds[package])}.*" for package in packages]


def check() -> None:
    """Compare with the reference: fit, predict, fit_many, an estimator, a model file, in both dtypes."""
    import numpy as np

    import fastbp
    from fastbp import Trainer, fit_many, reference
    from fastbp._library import store
    from fastbp.sklearn import MLPClassifier

    def close(came: list, expected: list, dtype: str) -> None:
        assert len(came) == len(expected)
        for mine, theirs in zip(came, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])

    store.in_package = lambda kind: None  # what another Numba has built
    rng = np.random.default_rng(0)
    for dtype in TOLERANCE:
        # One that fits registers, one of wide tiles, and one with an optimizer's memory
        for sizes, optimizer in (((2, 3, 1), "sgd"), ((9, 300, 280, 4), "sgd"), ((9, 20, 4), "adam")):
            X, y = rng.normal(size=(40, sizes[0])).astype(dtype), rng.uniform(size=(40, sizes[-1])).astype(dtype)
            options = {"activation": "tanh", "optimizer": optimizer, "learning_rate": 0.01, "dtype": dtype}
            options |= {"batch_size": BATCH_SIZE, "shuffle": False}
            trainers = [Trainer(sizes, seed=seed, **options) for seed in range(8)]
            alone = Trainer(sizes, seed=0, **options)
            weights, biases = ([np.array(a, np.float64) for a in part] for part in (alone.weights, alone.biases))
            names = [*["tanh"] * (len(sizes) - 2), alone.output_activation]
            state: dict = {}
            common = {"learning_rate": 0.01, "batch_size": BATCH_SIZE, "optimizer": optimizer, "state": state}
            losses = [reference.train_epoch(weights, biases, names, X, y, **common) for _ in range(EPOCHS)]
            history = alone.fit(X, y, epochs=EPOCHS, verbose=0)
            fit_many(trainers, X, y, epochs=EPOCHS, n_threads=2, verbose=0)
            close(history["loss"], losses, dtype)
            outputs = reference.forward(weights, biases, names, X.astype(np.float64))[1][-1]
            J, *gradients = reference.gradients(weights, biases, names, X, y)
            with tempfile.TemporaryDirectory() as folder:
                alone.save(Path(folder, "model.npz"))
                loaded = Trainer.load(Path(folder, "model.npz"))
            for trainer in (alone, trainers[0], loaded):
                close([*trainer.weights, *trainer.biases], [*weights, *biases], dtype)
                close([trainer.predict(X), trainer.evaluate(X, y)["loss"]], [outputs, J], dtype)
                mine = trainer.gradients(X, y)
                close([*mine.weights, *mine.biases], [*gradients[0], *gradients[1]], dtype)
        classes = (X[:, 0] > 0).astype(int)
        estimator = MLPClassifier((8,), solver="lbfgs", random_state=0, dtype=dtype).fit(X, classes)
        assert estimator.score(X, classes) == 1
        assert (fastbp.Ensemble(2, [9, 4]).predict(X) > -np.inf).all()


def main() -> None:
    """The check twice, the second time with kernels from the cache."""
    import numba
    import numpy as np

    check()
    again = subprocess.run([sys.executable, "-c", CHECK_AGAIN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stdout == "False\n", "the second process imported numba"
    print(f"right with numpy {np.__version__}, numba {numba.__version__}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--pins"]:
        free = "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
        print(*pins(f"{sys.version_info.major}.{sys.version_info.minor}{free}", (*CORE, "scikit-learn")))
    else:
        main()
