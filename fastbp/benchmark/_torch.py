"""The work in PyTorch, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .workloads import (
    ADAM_ETA,
    BETA_1,
    BETA_2,
    DECAY,
    EPOCHS,
    ETA,
    TINY,
    Array,
    Arrays,
    DType,
    Predict,
    Training,
    Workload,
    parameters,
)


def _parameters(work: Workload, dtype: DType, threads: int, *, requires_grad: bool = True) -> tuple[Any, list[Any]]:
    """Return torch and [Θ¹, b¹, Θ², …]."""
    import torch

    torch.set_num_threads(threads)
    pairs = zip(*parameters(work.sizes, dtype), strict=True)
    return torch, [torch.tensor(p, requires_grad=requires_grad) for pair in pairs for p in pair]


def _activated(torch: Any, name: str, z: Any) -> Any:
    if name == "mish":
        return torch.nn.functional.mish(z, inplace=True)
    return z if name == "identity" else getattr(torch, f"{name}_")(z)


def _forward(torch: Any, theta: Sequence[Any], a: Any, work: Workload) -> Any:
    for l in range(0, len(theta), 2):  # functions, because torch.nn's modules take about 10 % longer
        z = torch.nn.functional.linear(a, theta[l], theta[l + 1])
        a = _activated(torch, work.activation if l + 2 < len(theta) else work.output, z)
    return a


def _cost(torch: Any, theta: Sequence[Any], x: Any, t: Any, work: Workload) -> Any:
    a = _forward(torch, theta, x, work)
    return torch.nn.functional.mse_loss(a, t, reduction="sum") * (0.5 / work.rows)


def _training(
    torch: Any, theta: Sequence[Any], step: Callable[[Any, Any], Any], work: Workload, X: Array, y: Array
) -> Training:
    X_batches, y_batches = torch.from_numpy(X).split(work.rows), torch.from_numpy(y).split(work.rows)

    def run() -> Any:
        for _ in range(EPOCHS):
            for x, t in zip(X_batches, y_batches, strict=True):
                J = step(x, t)
        return J.item()

    def calls() -> Any:
        for _ in range(EPOCHS):
            for i in range(0, len(X), work.rows):
                J = step(torch.from_numpy(X[i : i + work.rows]), torch.from_numpy(y[i : i + work.rows]))
        return J.item()

    def now() -> tuple[Arrays, Arrays]:
        arrays = [p.detach().numpy() for p in theta]
        return arrays[::2], arrays[1::2]

    return Training(calls if work.kind == "calls" else run, now)


def _fused_step(torch: Any, theta: Sequence[Any], optimizer: str) -> Callable[[Any], None]:
    """Return a step along gradients: what PyTorch's optimizers call with fused=True, without their overhead."""
    m, v = ([torch.zeros_like(p, requires_grad=False) for p in theta] for _ in range(2))
    steps = [torch.zeros(()) for _ in theta]
    plain: Any = {"weight_decay": 0.0, "momentum": 0.0, "dampening": 0.0, "nesterov": False, "is_first_step": False}
    settings: Any = {"lr": ADAM_ETA, "beta1": BETA_1, "beta2": BETA_2, "eps": TINY, "amsgrad": False}

    def sgd(gradients: Any) -> None:
        torch._fused_sgd_(theta, list(gradients), [], lr=ETA, maximize=False, **plain)

    def adam(gradients: Any) -> None:
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(theta, gradients, m, v, [], steps, weight_decay=0.0, maximize=False, **settings)

    def adamw(gradients: Any) -> None:
        torch._foreach_add_(steps, 1)
        for these, decay in ((slice(0, None, 2), DECAY), (slice(1, None, 2), 0.0)):  # weights, then biases
            of_these = [values[these] for values in (theta, gradients, m, v)]
            torch._fused_adamw_(*of_these, [], steps[these], weight_decay=decay, maximize=False, **settings)

    return {"sgd": sgd, "adam": adam, "adamw": adamw}[optimizer]


def train_eager(work: Workload, X: Array, y: Array, threads: int) -> Training:
    """Train step by step with autograd."""
    torch, theta = _parameters(work, X.dtype, threads)
    step_along = _fused_step(torch, theta, work.optimizer)

    def step(x: Any, t: Any) -> Any:
        J = _cost(torch, theta, x, t, work)
        gradients = torch.autograd.grad(J, theta)
        with torch.no_grad():
            step_along(gradients)
        return J.detach()

    return _training(torch, theta, step, work, X, y)


def _descend(torch: Any, theta: Any, gradients: Any, state: Any, optimizer: str) -> None:
    """Step along the gradients in operations that a compiled graph fuses."""
    if optimizer == "sgd":
        torch._foreach_add_(theta, gradients, alpha=-ETA)
        return
    m, v, (power_1, power_2) = state
    power_1.mul_(BETA_1)
    power_2.mul_(BETA_2)
    eta, correction = ADAM_ETA / (1 - power_1), (1 - power_2).rsqrt()
    for i, (p, g, m_p, v_p) in enumerate(zip(theta, gradients, m, v, strict=True)):
        m_p.mul_(BETA_1).add_(g, alpha=1 - BETA_1)
        v_p.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
        kept = 1 - ADAM_ETA * DECAY if optimizer == "adamw" and i % 2 == 0 else 1
        p.copy_(p * kept - eta * m_p / (v_p.sqrt() * correction + TINY))


def train_compiled(work: Workload, X: Array, y: Array, threads: int) -> Training:
    """Train with a whole step in one graph. autograd.grad would split it into several graphs, 2 to 4 times slower."""
    torch, theta = _parameters(work, X.dtype, threads, requires_grad=False)
    torch._dynamo.reset()  # forgets the graphs of other networks, of which it keeps only a few
    zeros = [[torch.zeros_like(p) for p in theta] for _ in range(2)]
    powers = [torch.ones(1, dtype=theta[0].dtype) for _ in range(2)]  # the graph doesn't change a scalar of float64
    state = (*zeros, powers)

    @torch.compile(fullgraph=True, dynamic=False)
    def step(theta: Any, state: Any, x: Any, t: Any) -> Any:
        gradients, J = torch.func.grad_and_value(lambda p: _cost(torch, p, x, t, work))(theta)
        _descend(torch, theta, gradients, state, work.optimizer)
        return J

    return _training(torch, theta, lambda x, t: step(theta, state, x, t), work, X, y)


def predict(work: Workload, threads: int, dtype: DType) -> Predict:
    """Predict in inference mode."""
    torch, theta = _parameters(work, dtype, threads, requires_grad=False)

    @torch.inference_mode()
    def answer(X: Array) -> Array:
        return _forward(torch, theta, torch.from_numpy(X), work).numpy()

    return answer
