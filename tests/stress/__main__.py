"""Run every script of this folder, one after the other, with its default counts: python -m tests.stress."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def main() -> int:
    """How many failed."""
    summary = []
    for name in SCRIPTS:
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        code = subprocess.run([sys.executable, "-m", f"tests.stress.{name}"], check=False).returncode
        summary.append((name, code, time.perf_counter() - start))
    print("== summary")
    for name, code, seconds in summary:
        print(f"{name:24} {'passed' if code == 0 else f'FAILED with {code}'} in {seconds:.0f} s")
    return sum(code != 0 for _, code, _ in summary)


if __name__ == "__main__":
    sys.exit(main())
