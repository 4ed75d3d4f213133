"""Parameters of PyTorch modules as arrays, and checks of modules."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import numpy as np
import torch
from torch import nn

from .. import _checks

DTYPES = {torch.float32: np.dtype("float32"), torch.float64: np.dtype("float64")}


def checked(place: str, module: Any) -> None:
    """Refuse what is no module, and a module that doesn't compute what its class computes."""
    if not isinstance(module, nn.Module):
        raise TypeError(_checks.wrong(place, "a torch.nn.Sequential", _checks.kind_shown(module, nn.Module)))
    if module._forward_hooks or module._forward_pre_hooks:
        raise ValueError(_checks.wrong(place, "no forward hooks", f"a {type(module).__name__} with some"))
    if "forward" in vars(module):
        came = f"a {type(module).__name__} with a replaced forward"
        raise ValueError(_checks.wrong(place, "a module that computes what its class does", came))


def require(place: str, module: Any, complaint: Callable[[Any], str]) -> None:
    """Refuse a module with an attribute that differs from fastbp's formula."""
    if expected := complaint(module):
        raise ValueError(_checks.wrong(place, f"a {type(module).__name__} with {expected}", module))


def numbers_of(place: str, parameter: Any) -> Any:
    """Return a parameter as an array."""
    if parameter.device.type == "meta":
        came = "parameters on the meta device; load the weights first"
        raise ValueError(_checks.wrong(place, "parameters with values", came))
    if parameter.dtype not in DTYPES:
        raise TypeError(_checks.wrong(place, "float32 or float64; module.float() converts it", parameter.dtype))
    return parameter.detach().cpu().numpy()


def frozen_of(module: Any, names: Any = ("weight", "bias")) -> tuple[str, ...]:
    """Return those names of a module's parameters that have requires_grad=False."""
    parameters = {name: getattr(module, name) for name in names}
    return tuple(name for name, value in parameters.items() if value is not None and not value.requires_grad)


def freeze(module: Any, frozen: Container[str], prefix: str = "") -> None:
    """Set requires_grad=False for the parameters of a module whose names in the Trainer are frozen.

    prefix: what the names of the Trainer have in front of those of the module.
    """
    for place, part in module.named_modules():
        names = {"weight": "gamma", "bias": "beta"} if isinstance(part, nn.LayerNorm | nn.BatchNorm1d) else {}
        for name, parameter in part.named_parameters(recurse=False):
            path = ".".join(filter(None, (place, names.get(name, name))))
            parameter.requires_grad_(f"{prefix}{path}" not in frozen)
