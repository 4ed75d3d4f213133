"""The kernels' tests through the library of each level that this processor has: make levels.

python -m tests.levels                  all levels
python -m tests.levels x86-64-v2        some of them
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fastbp._kernels.levels import LEVELS, best_level

ROOT = Path(__file__).parent.parent
TESTS = ("tests/_kernels", "tests/test_engine.py", "tests/test_layout.py", "tests/test_course.py")


def levels_here() -> list[str]:
    """The names of the levels that this processor has, the best one last."""
    best = best_level()
    names = [name for name, level in LEVELS.items() if level.machine == best.machine]
    return names[: names.index(best.name) + 1]


def run(level: str) -> int:
    """What pytest ends with."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadscope", "--no-loadscope-reorder"]
    return subprocess.run(
        [*command, *TESTS], cwd=ROOT, env={**os.environ, "FASTBP_LEVEL": level}, check=False
    ).returncode


def main() -> int:
    """How many levels failed."""
    failed = []
    for level in sys.argv[1:] or levels_here():
        print(f"== {level}", flush=True)
        failed += [level] if run(level) else []
    print(f"failed: {', '.join(failed)}" if failed else "all levels passed")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
