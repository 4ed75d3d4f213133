"""Many networks at once: fit_many, Ensemble and Sweep."""

from ._fit_many import fit_many
from ._fits import Outcome
from .ensemble import Ensemble
from .sweep import Sweep

__all__ = ["Ensemble", "Outcome", "Sweep", "fit_many"]
