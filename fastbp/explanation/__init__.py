"""Explanations: contributions of inputs, importances of columns, and derivatives as chains of partial derivatives."""

from ._contributions import Contributions, contributions
from ._explain import explain
from ._explanation import Explanation
from ._importance import Importance, importance
from ._records import Derivative

__all__ = ["Contributions", "Derivative", "Explanation", "Importance", "contributions", "explain", "importance"]
