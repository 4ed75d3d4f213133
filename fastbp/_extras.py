"""The error for an optional package that is not installed."""

from __future__ import annotations


def not_installed(needs: str, extra: str, also: str = "") -> ImportError:
    """Return the error that names the extra to install.

    Parameters
    ----------
    needs : what needs which package
    extra : the extra of fastbp that installs it
    also : what else to install
    """
    # pip installs the extras of the fastbp that is there, even if that came from a clone and not from PyPI.
    return ImportError(f"{needs}: pip install 'fastbp[{extra}]'{also}")
