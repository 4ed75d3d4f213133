"""The same training in other libraries, written as somebody who knows them would; each behind one function.

`PEERS` maps a name to ``build(sizes, batch, X, y, threads)``, which returns a function that trains five epochs and
returns the last thing it computed, so that nothing is left undone. All do the same work: sigmoid in every layer,
J = 1/(2m) Σ (y − aᴸ)², plain SGD, samples in order; float32 or float64 as X is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

EPOCHS = 5
ETA = 0.1
EPSILON = 0.12

Run = Callable[[], Any]
Build = Callable[[Sequence[int], int, np.ndarray, np.ndarray, int], Run]


def start(sizes: Sequence[int], dtype: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """First weights (n_{l+1}, n_l) and biases, the same for everyone who takes them."""
    rng = np.random.default_rng(0)
    weights = [rng.uniform(-EPSILON, EPSILON, (n_next, n)).astype(dtype) for n, n_next in pairwise(sizes)]
    biases = [rng.uniform(-EPSILON, EPSILON, n).astype(dtype) for n in sizes[1:]]
    return weights, biases


def fastbp(sizes, batch, X, y, threads) -> Run:
    from fastbp import Trainer

    trainer = Trainer(
        sizes,
        output_activation="sigmoid",
        batch_size=batch,
        learning_rate=ETA,
        epsilon=EPSILON,
        shuffle=False,
        dtype=X.dtype,
        seed=0,
        n_threads=threads or "auto",
    )
    return lambda: trainer.fit(X, y, epochs=EPOCHS, verbose=0)


def numpy(sizes, batch, X, y, threads) -> Run:
    """Every product into an array that is there already, through BLAS."""
    weights, biases = start(sizes, X.dtype)
    transposed = [
        np.ascontiguousarray(w.T) for w in weights
    ]  # (n_l, n_{l+1}): no transposed operand in the forward pass
    a = [np.empty((batch, n), X.dtype) for n in sizes]
    delta = [np.empty((batch, n), X.dtype) for n in sizes]
    gradients = [np.empty_like(w) for w in transposed]
    ones = np.ones(batch, X.dtype)

    def step(x, t):
        m = len(x)
        layers = [x, *(layer[:m] for layer in a[1:])]
        for l, w in enumerate(transposed):
            z = np.matmul(layers[l], w, out=layers[l + 1])
            z += biases[l]
            np.negative(z, out=z)
            np.exp(z, out=z)
            z += 1
            np.reciprocal(z, out=z)
        d = np.subtract(layers[-1], t, out=delta[-1][:m])
        d *= 1 / m
        for l in reversed(range(len(transposed))):
            f_prime = 1 - layers[l + 1]
            f_prime *= layers[l + 1]
            d *= f_prime
            np.matmul(layers[l].T, d, out=gradients[l])
            bias_gradient = ones[:m] @ d
            if l:
                d = np.matmul(d, transposed[l].T, out=delta[l][:m])
            gradients[l] *= ETA
            transposed[l] -= gradients[l]
            biases[l] -= ETA * bias_gradient

    def run():
        for _ in range(EPOCHS):
            for i in range(0, len(X), batch):
                step(X[i : i + batch], y[i : i + batch])
        return transposed[-1][0, 0]

    return run


def scikit_learn(sizes, batch, X, y, threads) -> Run:
    """MLPRegressor; its output layer is the identity, one sigmoid less to compute than the others have."""
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(
        hidden_layer_sizes=sizes[1:-1],
        activation="logistic",
        solver="sgd",
        alpha=0,
        batch_size=min(batch, len(X)),
        learning_rate_init=ETA,
        momentum=0,
        nesterovs_momentum=False,
        max_iter=EPOCHS,
        shuffle=False,
        tol=0,
        n_iter_no_change=10**6,
        random_state=0,
    )
    target = y[:, 0] if y.shape[1] == 1 else y

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that five epochs did not converge
            return model.fit(X, target)

    return run


def _torch_step(sizes, X, y, threads):
    import torch

    torch.set_num_threads(threads)
    layers: list[Any] = []
    weights, biases = start(sizes, X.dtype)
    for w, b in zip(weights, biases, strict=True):
        linear = torch.nn.Linear(w.shape[1], w.shape[0])
        linear.weight = torch.nn.Parameter(torch.tensor(w))
        linear.bias = torch.nn.Parameter(torch.tensor(b))
        layers += [linear, torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*layers)
    parameters = list(model.parameters())

    def step(x, t):
        J = ((model(x) - t) ** 2).sum() * (0.5 / len(x))
        gradients = torch.autograd.grad(J, parameters)
        with torch.no_grad():
            torch._foreach_add_(
                parameters, gradients, alpha=-ETA
            )  # what SGD(foreach=True) does, without its book-keeping
        return J.detach()

    return torch, step


def _torch_epochs(torch, step, batch, X, y) -> Run:
    X_batches, y_batches = torch.from_numpy(X).split(batch), torch.from_numpy(y).split(batch)

    def run():
        for _ in range(EPOCHS):
            for x, t in zip(X_batches, y_batches, strict=True):
                J = step(x, t)
        return J.item()

    return run


def torch_eager(sizes, batch, X, y, threads) -> Run:
    torch, step = _torch_step(sizes, X, y, threads)
    return _torch_epochs(torch, step, batch, X, y)


def torch_compile(sizes, batch, X, y, threads) -> Run:
    torch, step = _torch_step(sizes, X, y, threads)
    return _torch_epochs(torch, torch.compile(step), batch, X, y)


def jax_scan(sizes, batch, X, y, threads) -> Run:
    """All five epochs in one compiled call: a scan over the batches, in a scan over the epochs."""
    import jax

    if X.dtype == np.float64:
        jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    n = len(X) // batch * batch  # the workloads have whole batches
    batches = (jnp.asarray(X[:n].reshape(-1, batch, sizes[0])), jnp.asarray(y[:n].reshape(-1, batch, sizes[-1])))
    parameters = [(jnp.asarray(w.T), jnp.asarray(b)) for w, b in zip(*start(sizes, X.dtype), strict=True)]

    def cost(parameters, x, t):
        a = x
        for w, b in parameters:
            a = jax.nn.sigmoid(a @ w + b)
        return ((a - t) ** 2).sum() * (0.5 / batch)

    def step(parameters, pair):
        J, gradients = jax.value_and_grad(cost)(parameters, *pair)
        return jax.tree.map(lambda p, g: p - ETA * g, parameters, gradients), J

    def epochs(parameters, batches):
        def epoch(parameters, _):
            parameters, losses = jax.lax.scan(step, parameters, batches)
            return parameters, losses.mean()

        return jax.lax.scan(epoch, parameters, None, length=EPOCHS)

    compiled = jax.jit(epochs, donate_argnums=0)
    state = [parameters]

    def run():
        state[0], losses = compiled(state[0], batches)
        return jax.block_until_ready(losses)

    return run


PEERS: dict[str, Build] = {
    "fastbp": fastbp,
    "JAX scan": jax_scan,
    "PyTorch eager": torch_eager,
    "torch.compile": torch_compile,
    "scikit-learn": scikit_learn,
    "NumPy": numpy,
}
PACKAGES = {
    "JAX scan": "jax",
    "PyTorch eager": "torch",
    "torch.compile": "torch",
    "scikit-learn": "sklearn",
    "NumPy": "numpy",
    "fastbp": "fastbp",
}
