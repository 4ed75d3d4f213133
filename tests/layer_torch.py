"""A network of layers in PyTorch, made from the reference's description of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fastbp import reference
from fastbp.reference import blocks, layer_training
from fastbp.reference.networks import Network

from .cases import Rule
from .optional import Package
from .test_torch import each_loss, functions, optimizer_of

torch, F = Package("torch"), Package("torch.nn.functional")


class LayerModel:
    """The same network in PyTorch, from the same parameters. Dropout has fastbp's masks."""

    def __init__(self, network: Network, p: Mapping[str, np.ndarray], dtype: str = "float64", seed: int = 0) -> None:
        self.network, self.seed, self.batch = network, seed, 0
        self.p = {name: torch.tensor(theta.astype(dtype)) for name, theta in p.items()}
        self.trained = {
            name: theta.requires_grad_()
            for name, theta in self.p.items()
            if name.rsplit(".", 1)[-1] not in layer_training.UNTRAINED
        }

    def z(self, X, training: bool = False, dropout: bool = False, rate_factor: float = 1.0):
        """zᴸ. In training, batch norms use the batch, unless it has one sample, and move the running statistics."""
        self.training, self.dropout, self.factor, self.number = training, dropout, rate_factor, 2
        return self.all(self.network.layers, X, "")

    def outputs(self, X):
        """aᴸ, as in prediction."""
        return functions()[self.network.output](self.z(X))

    def all(self, layers, x, prefix: str):
        for name, layer in blocks.named(layers):
            x = getattr(self, type(layer).__name__)(layer, x, prefix + name)
        return x

    def cost(self, X, y, sample_weight=None, **options):
        """J of a batch."""
        z = self.z(X, **options)
        values = each_loss(z, functions()[self.network.output](z), y, self.network.loss, self.network.parameter)
        return values.mean() if sample_weight is None else (sample_weight * values).sum() / sample_weight.sum()

    def Inputs(self, layer, x, prefix):
        numbers = x[:, : layer.numbers]
        parts = [self.Encoding(layer.encoding, numbers, prefix) if layer.encoding else numbers]
        for i in range(len(layer.categories)):
            table = self.p[f"{prefix}embedding{i + 1}.weight"]
            parts.append(F.embedding(x[:, layer.numbers + i].detach().long(), table))
        return torch.cat(parts, 1)

    def Encoding(self, layer, x, prefix):
        x, rest = x[:, : layer.count], x[:, x.shape[1] if layer.count is None else layer.count :]
        p = {name.split(".")[-1]: theta for name, theta in self.p.items() if name.startswith(f"{prefix}{layer.name}.")}
        x = x[:, :, None]
        if layer.name == "pbld":
            cosine = torch.cos(2 * torch.pi * x * p["frequency"] + p["phase"])
            y = torch.cat([x, (cosine[:, :, None, :] * p["weight"]).sum(3) + p["bias"]], 2)
        elif layer.name == "periodic":
            angle = 2 * torch.pi * x * p["frequency"]
            y = torch.cat([angle.sin(), angle.cos()], 2)
        else:
            low, high = p["edges"][:, :-1], p["edges"][:, 1:]
            t = (x - low) / (high - low)
            y = torch.cat([t[:, :, :1].clamp(max=1), t[:, :, 1:-1].clamp(0, 1), t[:, :, -1:].clamp(min=0)], 2)
        return torch.cat([y.flatten(1), rest], 1)

    def Scale(self, layer, x, prefix):
        return x * self.p[f"{prefix}scale"]

    def LayerNorm(self, layer, x, prefix):
        return F.layer_norm(x, x.shape[1:], self.p[f"{prefix}gamma"], self.p[f"{prefix}beta"], layer.epsilon)

    def BatchNorm(self, layer, x, prefix):
        gamma, beta, mean, variance = (self.p[prefix + name] for name in ("gamma", "beta", "mean", "variance"))
        training = self.training and len(x) > 1
        return F.batch_norm(x, mean, variance, gamma, beta, training, layer.momentum, layer.epsilon)

    def Activation(self, layer, x, prefix):
        self.number += 1
        return self.activate(x, layer.name, layer.parametric, prefix)

    def activate(self, x, name, parametric, prefix):
        f = functions()[name](x)
        return x + self.p[f"{prefix}alpha"] * (f - x) if parametric else f

    def Dropout(self, layer, x, prefix):
        self.number += 1
        return self.drop(x, layer.rate, self.number - 1)

    def drop(self, x, rate, number):
        if not self.dropout or not rate:
            return x
        mask = reference.dropout_mask(rate * self.factor, self.seed, self.batch, number, *x.shape)
        return x * torch.tensor(mask, dtype=x.dtype)

    def Dense(self, layer, x, prefix):
        number = self.number
        self.number += 1
        x = F.linear(x, self.p[f"{prefix}weight"], self.p.get(f"{prefix}bias"))
        if layer.norm is not None:
            x = getattr(self, type(layer.norm).__name__)(layer.norm, x, f"{prefix}norm.")
        return self.drop(self.activate(x, layer.activation, layer.parametric, prefix), layer.dropout, number)

    def Residual(self, layer, x, prefix):
        return x + self.all(layer.layers, x, prefix)

    def optimizer(self, rule: Rule):
        """torch.optim's, with a group for each parameter."""
        decay = dict(rule.options).get("weight_decay", 0.0)
        groups = [
            {"params": [theta], "weight_decay": decay * layer_training.decay_of(name)}
            for name, theta in self.trained.items()
        ]
        return optimizer_of(rule, groups)

    def train(self, X, y, rule: Rule, *, epochs: int, batch_size: int) -> None:
        """All the epochs, without shuffling."""
        dtype = next(iter(self.p.values())).dtype
        X, y = torch.tensor(X, dtype=dtype), torch.tensor(y, dtype=dtype)
        optimizer = self.optimizer(rule)
        for start in [*range(0, len(X), batch_size)] * epochs:
            batch = slice(start, start + batch_size)
            optimizer.zero_grad()
            self.cost(X[batch], y[batch], training=True, dropout=True).backward()
            optimizer.step()
            self.batch += 1

    def numbers(self) -> dict[str, np.ndarray]:
        """Return the parameters and the statistics by name."""
        return {name: theta.detach().numpy() for name, theta in self.p.items()}

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the gradients of the parameters by name."""
        return {name: theta.grad.numpy() for name, theta in self.trained.items()}
