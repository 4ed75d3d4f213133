"""The C code of docs/c-export.md compiles, and does what the page says."""

from __future__ import annotations

import re
import subprocess

import numpy as np

from fastbp import Trainer, tables
from tests.commands import run
from tests.pages import FENCE, ROOT
from tests.test_c import COMPILER, FLAGS


def examples() -> list[str]:
    """Return the C code on the page."""
    return [fence[2] for fence in FENCE.finditer((ROOT / "docs" / "c-export.md").read_text("utf-8")) if fence[1] == "c"]


def output_of(folder, main: str, source: str) -> str:
    """Return what a program prints."""
    (folder / "main.c").write_text(main)
    strict = [flag for flag in FLAGS if flag not in ("-shared", "-fPIC")]
    subprocess.run([COMPILER, *strict, "main.c", source, "-o", "main", "-lm"], cwd=folder, check=True)
    return subprocess.run(["./main"], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_program_that_calls_a_network(digits, folder):
    X, y, _, _ = digits
    trainer = Trainer([64, 32, 10], activation="relu", loss="cross_entropy", optimizer="adam", standardize=True, seed=0)
    trainer.fit(X, y, epochs=2, verbose=0)
    trainer.to_c("digits.c")
    expected = trainer.predict(np.zeros((1, 64)))[0]
    found = re.fullmatch(r"class (\d), probability (0\.\d+)\n", output_of(folder, examples()[0], "digits.c"))
    assert int(found[1]) == expected.argmax()
    assert abs(float(found[2]) - expected.max()) < 0.0006


def test_a_program_that_predicts_a_row_of_a_table(folder):
    rows = [
        f"{area},{kind},{3 * area + (50 if kind == 'villa' else 0)}"
        for area in range(40, 240)
        for kind in ("flat", "villa")
    ]
    (folder / "houses.csv").write_text("\n".join(["area,kind,price", *rows]))
    assert run("train houses.csv --target price --networks 1 --seed 0 --quiet --epochs 20 --out houses.npz") == 0
    assert run("export houses.npz houses.c") == 0
    body = "\n".join(f"    {line}" if line else "" for line in examples()[1].splitlines())
    declarations, calls = body.split("\n\n")
    workspace = "    static houses_workspace workspace;"
    main = f"{workspace}\n{declarations}\n\n{calls}\n    return 0;\n"
    main = f'#include <stdio.h>\n#include "houses.h"\n\nint main(void)\n{{\n{main}}}\n'
    import pandas

    trainer = Trainer.load("houses.npz")
    frame = pandas.DataFrame({"area": [120.0], "kind": ["villa"]})
    expected = tables.answers(trainer._table, trainer.predict(tables.inputs(trainer._table, frame)))
    assert abs(float(output_of(folder, main, "houses.c")) - expected[0]) <= 0.51
