"""explain: every weight's derivative as a chain of partial derivatives, in numbers and formulas."""

from ._explanation import Derivative, Explanation, explain

__all__ = ["Derivative", "Explanation", "explain"]
