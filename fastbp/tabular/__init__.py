"""Estimators for tables: many networks in cross-validation, weighted together, or one. They need the extra ``tables``.

>>> from fastbp.tabular import TabularClassifier, TabularRegressor
>>> from fastbp.tabular import RealMLPClassifier, RealMLPRegressor

docs/tabular.md describes them.
"""

from typing import TYPE_CHECKING, Any

from .._extras import not_installed

if TYPE_CHECKING:
    from ._estimators import TabularClassifier, TabularRegressor, load
    from ._realmlp_estimators import RealMLPClassifier, RealMLPRegressor

__all__ = ["RealMLPClassifier", "RealMLPRegressor", "TabularClassifier", "TabularRegressor", "load"]


def __dir__() -> list[str]:
    """Return the names that an editor offers."""
    return list(__all__)


def __getattr__(name: str) -> Any:
    """Import the estimators when they are first used, because scikit-learn takes a second."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from . import _estimators
    except ImportError as error:
        if str(error.name).startswith("fastbp"):
            raise
        raise not_installed("fastbp.tabular needs pandas and scikit-learn", "tables") from error
    return getattr(_estimators, name)
