"""PyTorch modules for the layers of fastbp that PyTorch lacks, and the module of a whole network of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ._torch_parameters import require


class Exponential(nn.Module):
    """e^z, which PyTorch has as a function but not as a module."""

    def forward(self, z: Any) -> Any:
        """Return e^z of each number."""
        return torch.exp(z)


def has(**expected: Any) -> Callable[[Any], str]:
    """Return a check of a module's attributes, each with one or more allowed values. It returns what is wrong."""

    def complaint(module: Any) -> str:
        for name, values in expected.items():
            allowed = values if isinstance(values, tuple) else (values,)
            if getattr(module, name) not in allowed:
                return f"{name}={' or '.join(map(str, allowed))}"
        return ""

    return complaint


ACTIVATIONS: dict[type, tuple[str, Callable[[Any], str]]] = {  # fastbp's name, and a check that the formula is the same
    nn.Identity: ("identity", has()),
    nn.Sigmoid: ("sigmoid", has()),
    nn.Tanh: ("tanh", has()),
    nn.ReLU: ("relu", has()),
    nn.LeakyReLU: ("leaky_relu", has(negative_slope=0.01)),
    nn.ELU: ("elu", has(alpha=1)),
    nn.SELU: ("selu", has()),
    nn.GELU: ("gelu", has(approximate=("none", "tanh"))),
    nn.SiLU: ("silu", has()),
    nn.Mish: ("mish", has()),
    nn.Softplus: ("softplus", has(beta=1, threshold=20)),
    nn.Softsign: ("softsign", has()),
    nn.Hardsigmoid: ("hard_sigmoid", has()),
    nn.Hardtanh: ("hard_tanh", has(min_val=-1, max_val=1)),
    nn.Softmax: ("softmax", has(dim=(1, -1, None))),
    nn.LogSoftmax: ("softmax", has(dim=(1, -1, None))),
    Exponential: ("exponential", has()),
}
MODULES: dict[str, Callable[[], Any]] = {name: kind for kind, (name, _) in ACTIVATIONS.items()} | {
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "softmax": lambda: nn.Softmax(dim=1),
    "log_softmax": lambda: nn.LogSoftmax(dim=1),
}


def activation_name(place: str, module: Any) -> str:
    """Return fastbp's name of a module's activation, after a check that the formula is the same."""
    name, complaint = ACTIVATIONS[type(module)]
    require(place, module, complaint)
    return "gelu_tanh" if getattr(module, "approximate", "") == "tanh" else name


def _empty(*shape: int) -> Any:
    """Return a parameter without values, which are loaded later."""
    return nn.Parameter(torch.empty(*shape))


class PBLD(nn.Module):
    """For each number x: x, and W₂ cos(2π x w₁ + b₁) + b₂, in columns beside each other.

    Parameters
    ----------
    n : number of columns of x
    dim : columns for each number, x included
    n_frequencies : size of w₁ and b₁ for each number
    """

    def __init__(self, n: int, dim: int, n_frequencies: int) -> None:
        super().__init__()
        self.n = n
        self.frequency, self.phase = _empty(n, n_frequencies), _empty(n, n_frequencies)
        self.weight, self.bias = _empty(n, dim - 1, n_frequencies), _empty(n, dim - 1)

    def forward(self, x: Any) -> Any:
        """Return (s, n · dim) for x of (s, n)."""
        waves = torch.cos(2 * math.pi * x[:, :, None] * self.frequency + self.phase)
        values = torch.einsum("sni,nki->snk", waves, self.weight) + self.bias
        return torch.cat([x[:, :, None], values], dim=2).flatten(1)


class Periodic(nn.Module):
    """For each number x: sin 2πwx for all frequencies w, then cos 2πwx.

    Parameters
    ----------
    n : number of columns of x
    n_frequencies : size of w for each number
    """

    def __init__(self, n: int, n_frequencies: int) -> None:
        super().__init__()
        self.n = n
        self.frequency = _empty(n, n_frequencies)

    def forward(self, x: Any) -> Any:
        """Return (s, n · 2 n_frequencies) for x of (s, n)."""
        angles = 2 * math.pi * x[:, :, None] * self.frequency
        return torch.cat([torch.sin(angles), torch.cos(angles)], dim=2).flatten(1)


class PiecewiseLinear(nn.Module):
    """For each number x and each bin from e to e′: (x − e)/(e′ − e), clipped to [0, 1]; the end bins are open.

    Parameters
    ----------
    n : number of columns of x
    bins : number of bins for each
    """

    def __init__(self, n: int, bins: int) -> None:
        super().__init__()
        self.n = n
        self.register_buffer("edges", torch.empty(n, bins + 1))

    def forward(self, x: Any) -> Any:
        """Return (s, n · bins) for x of (s, n)."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        width = high - low
        parts = torch.where(
            width > 0, (x[:, :, None] - low) / torch.where(width > 0, width, 1), (x[:, :, None] >= low).to(x.dtype)
        )
        lower, upper = torch.zeros_like(low), torch.ones_like(low)
        lower[:, 0], upper[:, -1] = -math.inf, math.inf
        return torch.clamp(parts, lower, upper).flatten(1)


class Scale(nn.Module):
    """s ⊙ x.

    Parameters
    ----------
    n : number of columns of x
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.scale = _empty(n)

    def forward(self, x: Any) -> Any:
        """Return s ⊙ x."""
        return x * self.scale


class Parametric(nn.Module):
    """x + α (f(x) − x) with a trained α for each unit.

    Parameters
    ----------
    function : module of f
    n : number of units
    """

    def __init__(self, function: Any, n: int) -> None:
        super().__init__()
        self.function, self.alpha = function, _empty(n)

    def forward(self, x: Any) -> Any:
        """Return x + α (f(x) − x)."""
        return x + self.alpha * (self.function(x) - x)


class Dense(nn.Linear):
    """A Linear layer with what fastbp's Dense has after it: a norm, an activation and a dropout.

    Parameters
    ----------
    n_in, n_out, bias : as in nn.Linear
    norm, activation, dropout : modules, or None
    parametric : whether the activation has α
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        bias: bool = True,
        norm: Any = None,
        activation: Any = None,
        dropout: Any = None,
        parametric: bool = False,
    ) -> None:
        super().__init__(n_in, n_out, bias=bias, device="meta")  # draws no initial weights
        self.to_empty(device="cpu")
        self.norm, self.activation, self.dropout = norm, activation, dropout
        if parametric:
            self.alpha = _empty(n_out)
        else:
            self.register_parameter("alpha", None)

    def forward(self, x: Any) -> Any:
        """Return dropout(f(norm(x Θᵀ + b)))."""
        z = super().forward(x)
        if self.norm is not None:
            z = self.norm(z)
        if self.activation is not None:
            a = self.activation(z)
            z = a if self.alpha is None else z + self.alpha * (a - z)
        return z if self.dropout is None else self.dropout(z)


class Residual(nn.Sequential):
    """x + F(x), where F applies the modules in turn."""

    def forward(self, x: Any) -> Any:
        """Return x + F(x)."""
        return x + super().forward(x)


class Affine(nn.Module):
    """(x − mean) / deviation, or x · deviation + mean: the scaling of a trainer with standardize=True.

    Parameters
    ----------
    n : number of columns of x
    back : whether it scales outputs back
    """

    def __init__(self, n: int, back: bool) -> None:
        super().__init__()
        self.back = back
        self.register_buffer("mean", torch.empty(n))
        self.register_buffer("deviation", torch.empty(n))

    def forward(self, x: Any) -> Any:
        """Return the scaled numbers."""
        return x * self.deviation + self.mean if self.back else (x - self.mean) / self.deviation


class Layers(nn.Module):
    """A network of layers. Its state_dict has the names of `Trainer.named_parameters`, those of norms as in PyTorch.

    Parameters
    ----------
    numbers : columns of X with numbers; the others are categories, from 0
    embeddings : a table for each category
    encoding : the module that encodes the first n numbers with its name, or None
    modules : the other layers with their names, in order
    scaling, back : modules that scale the numbers and the outputs, or None
    """

    def __init__(
        self,
        numbers: int,
        embeddings: Sequence[Any],
        encoding: tuple[str, Any] | None,
        modules: Sequence[tuple[str, Any]],
        scaling: Any = None,
        back: Any = None,
    ) -> None:
        super().__init__()
        self.numbers, self.encoding = numbers, None if encoding is None else encoding[0]
        self.embeddings = [f"embedding{i + 1}" for i in range(len(embeddings))]
        self.stack = [name for name, _ in modules]
        self.scaling, self.back = scaling, back
        parts = [*zip(self.embeddings, embeddings, strict=True), *([] if encoding is None else [encoding]), *modules]
        for name, module in parts:
            self.add_module(name, module)

    def forward(self, x: Any) -> Any:
        """Return the outputs, (s, n_L), for X, (s, n_1)."""
        codes, x = x[:, self.numbers :], x[:, : self.numbers]
        if self.scaling is not None:
            x = self.scaling(x)
        if self.encoding is not None:
            encoding = getattr(self, self.encoding)
            x = torch.cat([encoding(x[:, : encoding.n]), x[:, encoding.n :]], dim=1)
        if self.embeddings:
            tables = [getattr(self, name)(codes[:, i].long()) for i, name in enumerate(self.embeddings)]
            x = torch.cat([x, *tables], dim=1)
        for name in self.stack:
            x = getattr(self, name)(x)
        return x if self.back is None else self.back(x)
