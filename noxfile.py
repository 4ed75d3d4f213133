"""The tests on every Python that fastbp runs on, with the oldest and the newest numpy and numba that it admits: nox.

nox                                 all of them, half an hour
nox -s "tests-3.12(versions='oldest')"
"""

import runpy
from pathlib import Path

import nox

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.14t")
PYARROW = dict.fromkeys(PYTHONS[:3], ("pyarrow==18.*",))  # newer ones want NumPy 2 without telling pip
pins = runpy.run_path(str(Path(__file__).parent / "tests" / "oldest.py"))["pins"]


@nox.session(python=PYTHONS)
@nox.parametrize("versions", ["oldest", "newest"])
def tests(session: nox.Session, versions: str) -> None:
    """All tests, also the nightly ones."""
    python = str(session.python)
    pinned = (*pins(python), *PYARROW.get(python, ())) if versions == "oldest" else ()
    session.install("--editable", ".[test]", *pinned)
    session.run("python", "-m", "pytest", "-m", "", *session.posargs)
