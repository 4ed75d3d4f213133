"""explain: every weight's derivative as a chain of partial derivatives, in numbers and formulas."""

from ._explain import explain
from ._explanation import Explanation
from ._records import Derivative

__all__ = ["Derivative", "Explanation", "explain"]
