"""Networks as C under several compilers and checkers, their size for a Cortex-M4, and their speed here.

    python -m bench.c_export [--folder FOLDER]

Compiles networks with every activation, kind of layer and type of numbers with gcc and clang, without warnings, and
their headers as C++. Runs their self-tests, also under valgrind and with sanitizers. Prints the size of 784-30-10 for a
Cortex-M4, and how long a row takes on this machine. What is not installed is left out, and the report says so.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastbp import Trainer, layers, losses
from fastbp.activations import HIDDEN

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ARM = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-Os", "-ffunction-sections")
DTYPES = ("float32", "float64", "int8")
SIZES = (784, 30, 10)
CALLS = 20_000


def trainers() -> Iterator[tuple[str, Trainer]]:
    """Return networks by name: each activation, each kind of layer, and losses with standard deviations."""
    for name in HIDDEN:
        yield name, Trainer([7, 11, 6, 3], activation=name, seed=0)
    for loss in ("cross_entropy", "hinge"):
        yield loss, Trainer([7, 11, 3], loss=loss, seed=0)
    yield "single", Trainer([7, 5, 1], loss="binary_cross_entropy", seed=0)
    yield "linear", Trainer([7, 3], use_bias=False, seed=0)
    mixture = losses.Members(losses.GaussianNLL(), 3)
    yield "mixture", Trainer([7, 11, 6], loss=mixture, seed=0)
    yield "counts", Trainer([7, 11, 2], loss="negative_binomial", seed=0)
    inputs = layers.Inputs(5, [3, 4])
    for name, embedding in (
        ("pbld", layers.PBLD(4)),
        ("periodic", layers.Periodic(5)),
        ("piecewise", layers.PiecewiseLinear(4, np.linspace(-1, 1, 5))),
    ):
        listed = [inputs, embedding, layers.Scale(), layers.Dense(8, "mish", norm="layer", parametric=True)]
        yield name, Trainer([*listed, layers.Residual(9, norm="batch"), 3], activation="selu", seed=0)


def rows_of(trainer: Trainer, n: int = 200) -> np.ndarray:
    """Return rows of inputs; the last columns may be categories."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, trainer.layer_sizes[0]))
    for column, count in enumerate(trainer.network.categories, trainer.network.n_numbers):
        X[:, column] = rng.integers(0, count, n)
    return X


def write(folder: Path) -> list[str]:
    """Write all networks, and a program that runs their self-tests. Return their names."""
    names = []
    for kind, trainer in trainers():
        for dtype in DTYPES:
            name = f"{kind}_{dtype}"
            trainer.to_c(folder / f"{name}.c", dtype=dtype, calibration=rows_of(trainer) if dtype == "int8" else None)
            names.append(name)
    includes = "\n".join(f'#include "{name}.h"' for name in names)
    tests = "\n".join(
        f"    {{\n        static {name}_workspace workspace;\n"
        f"        if (!({name}_self_test(&workspace) <= {name.upper()}_TOLERANCE))\n"
        f'            failed += printf("{name} failed\\n") > 0;\n    }}'
        for name in names
    )
    body = f"    int failed = 0;\n\n{tests}\n    return failed;\n"
    main = f"#include <stdio.h>\n{includes}\n\nint main(void)\n{{\n{body}}}\n"
    (folder / "main.c").write_text(main)
    (folder / "main.cpp").write_text(main.replace("(void)", "()"))
    return names


def run(folder: Path, *words: object) -> str:
    """Run a command, which must succeed and print no warning. Return what it prints."""
    done = subprocess.run(list(map(str, words)), cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))[:200]}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def missing(*programs: str) -> bool:
    """Return whether a program is not installed, and say so."""
    lacking = [program for program in programs if shutil.which(program) is None]
    if lacking:
        print(f"{lacking[0]:<10} is not installed: left out")
    return bool(lacking)


def compile_and_check(folder: Path, names: list[str]) -> None:
    """Compile with each compiler, and run the self-tests."""
    sources = [f"{name}.c" for name in names]
    for compiler, of_cpp in (("gcc", "g++"), ("clang", "clang++")):
        if missing(compiler):
            continue
        run(folder, compiler, *STRICT, "-O2", "main.c", *sources, "-o", "tests", "-lm")
        run(folder, "./tests")
        print(f"{compiler:<10} {len(names)} networks compile without warnings and pass their self-tests")
        if not missing(of_cpp):
            run(folder, of_cpp, "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "main.cpp")
            print(f"{of_cpp:<10} includes their headers")
        if compiler == "gcc":
            if not missing("valgrind"):
                run(folder, "valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "./tests")
                print(f"{'valgrind':<10} finds nothing")
            run(folder, compiler, *STRICT, *SANITIZERS, "main.c", *sources, "-o", "checked", "-lm")
            run(folder, "./checked")
            print(f"{compiler:<10} finds nothing with {SANITIZERS[2]}")


def sizes(folder: Path) -> None:
    """Print the size of 784-30-10 for a Cortex-M4."""
    if missing("arm-none-eabi-gcc"):
        return
    print(f"\n{'-'.join(map(str, SIZES))} for a Cortex-M4, without its self-test, in bytes")
    print("activation  dtype     code and weights  workspace")
    X = np.random.default_rng(0).uniform(size=(200, SIZES[0]))
    for activation in ("relu", "tanh"):
        trainer = Trainer(SIZES, activation=activation, loss="cross_entropy", seed=0)
        for dtype in ("float32", "int8"):
            trainer.to_c(folder / "arm.c", dtype=dtype, calibration=X if dtype == "int8" else None)
            run(folder, "arm-none-eabi-gcc", *STRICT, *ARM, "-DARM_NO_SELF_TEST", "-c", "arm.c")
            text, data, bss = map(int, run(folder, "arm-none-eabi-size", "arm.o").splitlines()[1].split()[:3])
            assert data == bss == 0
            size = "const char size[sizeof(arm_workspace)] = {1};\n"
            (folder / "size.c").write_text(f'#include "arm.h"\n{size}')
            run(folder, "arm-none-eabi-gcc", *ARM, "-c", "size.c")
            table = run(folder, "arm-none-eabi-nm", "-S", "size.o").split()
            print(f"{activation:<10}  {dtype:<8}  {text:>16,}  {int(table[1], 16):>9,}")


def speed(folder: Path) -> None:
    """Print how long a row takes."""
    if missing("gcc"):
        return
    print(f"\n{'-'.join(map(str, SIZES))}, relu, one row on this machine, gcc -O3 -march=native")
    trainer = Trainer(SIZES, activation="relu", loss="cross_entropy", seed=0)
    X = np.random.default_rng(0).uniform(size=(200, SIZES[0]))
    main = f"""#include <stdio.h>
#include <time.h>
#include "speed.h"
int main(void)
{{
    static float x[SPEED_INPUTS], y[SPEED_OUTPUTS], sum = 0.0f;
    static speed_workspace workspace;
    clock_t start = clock();
    for (int i = 0; i < {CALLS}; i++) {{
        x[i % SPEED_INPUTS] = (float)i / {CALLS}.0f;
        speed_predict(x, y, &workspace);
        sum += y[0];
    }}
    printf("%.2f\\n", 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / {CALLS});
    return sum < 0.0f;
}}
"""
    (folder / "time.c").write_text(main)
    for dtype in DTYPES:
        trainer.to_c(folder / "speed.c", dtype=dtype, calibration=X if dtype == "int8" else None)
        code = main.replace("float", "double") if dtype == "float64" else main
        (folder / "time.c").write_text(code)
        run(folder, "gcc", "-O3", "-march=native", "time.c", "speed.c", "-o", "time", "-lm")
        print(f"{dtype:<10} {run(folder, './time').strip():>8} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to write the files; default: a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        compile_and_check(folder, write(folder))
        sizes(folder)
        speed(folder)


if __name__ == "__main__":
    main()
