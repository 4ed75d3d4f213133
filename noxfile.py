"""The tests on every Python that fastbp runs on, with the oldest and the newest numpy and numba that it admits: nox.

nox                                 all of them, half an hour
nox -s "tests-3.12(versions='oldest')"
"""

import nox

# The oldest that pyproject.toml admits and that a Python has; newer pyarrows want NumPy 2 without telling pip
OLDEST = {
    "3.10": ("numpy==1.24.*", "numba==0.61.*", "pyarrow==18.*"),
    "3.11": ("numpy==1.24.*", "numba==0.61.*", "pyarrow==18.*"),
    "3.12": ("numpy==1.26.*", "numba==0.61.*", "pyarrow==18.*"),
    "3.13": ("numpy==2.1.*", "numba==0.61.*"),
}


@nox.session(python=list(OLDEST))
@nox.parametrize("versions", ["oldest", "newest"])
def tests(session: nox.Session, versions: str) -> None:
    """All tests."""
    pinned = OLDEST[str(session.python)] if versions == "oldest" else ()
    session.install("--editable", ".[test]", *pinned)
    session.run("python", "-m", "pytest", *session.posargs)
