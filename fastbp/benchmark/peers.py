"""The same work in other libraries, written as an expert in each would, each behind one function.

`TRAINING` maps a name to ``build(sizes, batch, X, y, threads)``, which returns a `Training`. All do the same work:
sigmoid in every layer, J = 1/(2m) Σ (y − aᴸ)² for each batch, plain SGD, samples in order, the same initial weights,
and float32 or float64 like X. `PREDICTION` maps a name to ``build(sizes, threads, dtype)``, which returns a function
from X to aᴸ, both NumPy arrays. tests/test_bench.py compares the results. Each peer's library
is imported when it is first used.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..trainer import Trainer
from .workloads import EPOCHS, ETA, Array, Sizes, parameters

Arrays = list[Array]
Predict = Callable[[Array], Array]


class Training(NamedTuple):
    """The work of a peer for one workload."""

    run: Callable[[], Any]  # trains for five more epochs and waits for the result
    parameters: Callable[[], tuple[Arrays, Arrays]]  # [Θ¹, …], each (n_{l+1}, n_l), and [b¹, …]


def _fastbp_trainer(sizes: Sizes, dtype: npt.DTypeLike, threads: int, **options: Any) -> Trainer:
    trainer = Trainer(
        sizes, activation="sigmoid", output_activation="sigmoid", dtype=dtype, n_threads=threads, **options
    )
    weights, biases = parameters(sizes, dtype)
    for views, values in ((trainer.weights, weights), (trainer.biases, biases)):
        for view, value in zip(views, values, strict=True):
            view[...] = value
    return trainer


def fastbp(sizes: Sizes, batch: int, X: Array, y: Array, threads: int) -> Training:
    """Train with a Trainer."""
    trainer = _fastbp_trainer(sizes, X.dtype, threads, batch_size=batch, learning_rate=ETA, shuffle=False)
    return Training(
        lambda: trainer.fit(X, y, epochs=EPOCHS, verbose=0), lambda: (list(trainer.weights), list(trainer.biases))
    )


def _sigmoid(z: Array) -> None:
    """Apply the sigmoid in place."""
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def numpy(sizes: Sizes, batch: int, X: Array, y: Array, threads: int) -> Training:
    """Train with NumPy. Every result goes into an existing array, and BLAS computes the products."""
    weights, biases = parameters(sizes, X.dtype)
    transposed = [np.ascontiguousarray(w.T) for w in weights]  # (n_l, n_{l+1})
    m = batch  # the workloads have whole batches
    a = [np.empty((m, n), X.dtype) for n in sizes]
    delta = [np.empty((m, n), X.dtype) for n in sizes]
    f_prime = [np.empty((m, n), X.dtype) for n in sizes]
    gradients = [np.empty_like(w) for w in transposed]
    bias_gradients = [np.empty_like(b) for b in biases]
    ones = np.ones(m, X.dtype)

    def step(x: Any, t: Any) -> Any:
        a[0] = x
        for l, w in enumerate(transposed):
            z = np.matmul(a[l], w, out=a[l + 1])
            z += biases[l]
            _sigmoid(z)
        d = np.subtract(a[-1], t, out=delta[-1])
        J = np.vdot(d, d) / (2 * m)
        d *= ETA / m  # δ includes η, so the gradients are η ∂J
        for l in reversed(range(len(transposed))):
            factor = np.subtract(1, a[l + 1], out=f_prime[l + 1])
            factor *= a[l + 1]
            d *= factor
            np.matmul(a[l].T, d, out=gradients[l])
            np.matmul(ones, d, out=bias_gradients[l])
            if l:
                d = np.matmul(d, transposed[l].T, out=delta[l])
            transposed[l] -= gradients[l]
            biases[l] -= bias_gradients[l]
        return J

    def run() -> Any:
        for _ in range(EPOCHS):
            for i in range(0, len(X), m):
                J = step(X[i : i + m], y[i : i + m])
        return J

    return Training(run, lambda: ([w.T for w in transposed], biases))


def _scikit_learn_model(sizes: Sizes, batch: int, dtype: npt.DTypeLike) -> Any:
    """Return an MLPRegressor. Its output layer is the identity, so it computes one sigmoid less than the others."""
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(
        hidden_layer_sizes=sizes[1:-1],
        activation="logistic",
        solver="sgd",
        alpha=0,
        batch_size=batch,
        learning_rate_init=ETA,
        momentum=0,
        nesterovs_momentum=False,
        max_iter=EPOCHS,
        shuffle=False,
        tol=0,
        n_iter_no_change=10**6,
        warm_start=True,  # continue training, as the others do
        random_state=0,
    )
    target = np.zeros((batch, sizes[-1]), dtype)
    model.partial_fit(np.zeros((batch, sizes[0]), dtype), target[:, 0] if sizes[-1] == 1 else target)
    weights, model.intercepts_ = parameters(sizes, dtype)
    model.coefs_ = [np.ascontiguousarray(w.T) for w in weights]
    return model


def scikit_learn(sizes: Sizes, batch: int, X: Array, y: Array, threads: int) -> Training:
    """Train with MLPRegressor.fit and a warm start."""
    model = _scikit_learn_model(sizes, batch, X.dtype)
    target = y[:, 0] if y.shape[1] == 1 else y

    def run() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about no convergence in five epochs
            return model.fit(X, target)

    return Training(run, lambda: ([w.T for w in model.coefs_], model.intercepts_))


def _torch_parameters(
    sizes: Sizes, dtype: npt.DTypeLike, threads: int, *, requires_grad: bool = True
) -> tuple[Any, list[Any]]:
    """Return torch and [Θ¹, b¹, Θ², …]."""
    import torch

    torch.set_num_threads(threads)
    pairs = zip(*parameters(sizes, dtype), strict=True)
    return torch, [torch.tensor(p, requires_grad=requires_grad) for pair in pairs for p in pair]


def _torch_forward(torch: Any, theta: Sequence[Any], a: Any) -> Any:
    for l in range(0, len(theta), 2):  # functions, because torch.nn's modules take about 10 % longer
        a = torch.nn.functional.linear(a, theta[l], theta[l + 1]).sigmoid_()
    return a


def _torch_training(
    torch: Any, theta: Sequence[Any], step: Callable[[Any, Any], Any], batch: int, X: Array, y: Array
) -> Training:
    X_batches, y_batches = torch.from_numpy(X).split(batch), torch.from_numpy(y).split(batch)

    def run() -> Any:
        for _ in range(EPOCHS):
            for x, t in zip(X_batches, y_batches, strict=True):
                J = step(x, t)
        return J.item()

    def now() -> tuple[Arrays, Arrays]:
        arrays = [p.detach().numpy() for p in theta]
        return arrays[::2], arrays[1::2]

    return Training(run, now)


def torch_eager(sizes: Sizes, batch: int, X: Array, y: Array, threads: int) -> Training:
    """Train step by step with autograd."""
    torch, theta = _torch_parameters(sizes, X.dtype, threads)

    def step(x: Any, t: Any) -> Any:
        a = _torch_forward(torch, theta, x)
        J = torch.nn.functional.mse_loss(a, t, reduction="sum") * (0.5 / batch)
        gradients = torch.autograd.grad(J, theta)
        with torch.no_grad():  # the same as SGD(foreach=True), without its overhead
            torch._foreach_add_(theta, gradients, alpha=-ETA)
        return J.detach()

    return _torch_training(torch, theta, step, batch, X, y)


def torch_compile(sizes: Sizes, batch: int, X: Array, y: Array, threads: int) -> Training:
    """Train with a whole step in one graph. autograd.grad would split it into several graphs, 2 to 4 times slower."""
    torch, theta = _torch_parameters(sizes, X.dtype, threads, requires_grad=False)

    def cost(theta: Any, x: Any, t: Any) -> Any:
        return torch.nn.functional.mse_loss(_torch_forward(torch, theta, x), t, reduction="sum") * (0.5 / batch)

    @torch.compile(fullgraph=True, dynamic=False)
    def step(theta: Any, x: Any, t: Any) -> Any:
        gradients, J = torch.func.grad_and_value(cost)(theta, x, t)
        torch._foreach_add_(theta, gradients, alpha=-ETA)
        return J

    return _torch_training(torch, theta, lambda x, t: step(theta, x, t), batch, X, y)


def jax_scan(sizes: Sizes, batch: int, X: Array, y: Array, threads: int) -> Training:
    """Train all five epochs in one compiled call: a scan over the batches in a scan over the epochs."""
    import jax

    if X.dtype == np.float64:
        jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    batches = tuple(jnp.asarray(data.reshape(-1, batch, data.shape[1])) for data in (X, y))
    theta = [(jnp.asarray(w), jnp.asarray(b)) for w, b in zip(*parameters(sizes, X.dtype), strict=True)]

    def cost(theta: Any, x: Any, t: Any) -> Any:
        a = x
        for w, b in theta:  # a transposed w is no faster, nor is a scan with unroll=2, 4 or 8
            a = jax.nn.sigmoid(a @ w.T + b)
        return ((a - t) ** 2).sum() * (0.5 / batch)

    def step(theta: Any, pair: Any) -> Any:
        J, gradients = jax.value_and_grad(cost)(theta, *pair)
        return jax.tree.map(lambda p, g: p - ETA * g, theta, gradients), J

    def epochs(theta: Any, batches: Any) -> Any:
        def epoch(theta: Any, _: Any) -> Any:
            theta, losses = jax.lax.scan(step, theta, batches)
            return theta, losses.mean()

        return jax.lax.scan(epoch, theta, None, length=EPOCHS)

    compiled = jax.jit(epochs, donate_argnums=0)
    state = [theta]

    def run() -> Any:
        state[0], losses = compiled(state[0], batches)
        return jax.block_until_ready(losses)

    return Training(run, lambda: ([np.asarray(w) for w, _ in state[0]], [np.asarray(b) for _, b in state[0]]))


def fastbp_predict(sizes: Sizes, threads: int, dtype: npt.DTypeLike) -> Predict:
    """Predict with Trainer.predict."""
    return _fastbp_trainer(sizes, dtype, threads).predict


def numpy_predict(sizes: Sizes, threads: int, dtype: npt.DTypeLike) -> Predict:
    """Predict with plain NumPy; BLAS computes the products."""
    weights, biases = parameters(sizes, dtype)
    transposed = [np.ascontiguousarray(w.T) for w in weights]

    def predict(X: Array) -> Array:
        for w, b in zip(transposed, biases, strict=True):
            X = X @ w
            X += b
            _sigmoid(X)
        return X

    return predict


def scikit_learn_predict(sizes: Sizes, threads: int, dtype: npt.DTypeLike) -> Predict:
    """Predict with MLPRegressor.predict."""
    return _scikit_learn_model(sizes, 1, dtype).predict


def torch_predict(sizes: Sizes, threads: int, dtype: npt.DTypeLike) -> Predict:
    """Predict with PyTorch in inference mode."""
    torch, theta = _torch_parameters(sizes, dtype, threads, requires_grad=False)

    @torch.inference_mode()
    def predict(X: Array) -> Array:
        return _torch_forward(torch, theta, torch.from_numpy(X)).numpy()

    return predict


def onnxruntime_predict(sizes: Sizes, threads: int, dtype: npt.DTypeLike) -> Predict:
    """Predict with an ONNX graph of Gemm and Sigmoid."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, name = [], [], "a1"
    for l, (w, b) in enumerate(zip(*parameters(sizes, dtype), strict=True), 1):
        constants += [numpy_helper.from_array(w, f"w{l}"), numpy_helper.from_array(b, f"b{l}")]
        nodes.append(helper.make_node("Gemm", [name, f"w{l}", f"b{l}"], [f"z{l + 1}"], transB=1))
        name = f"a{l + 1}"
        nodes.append(helper.make_node("Sigmoid", [f"z{l + 1}"], [name]))
    kind = TensorProto.DOUBLE if np.dtype(dtype) == np.float64 else TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(end, kind, ["n", n]) for end, n in (("a1", sizes[0]), (name, sizes[-1]))]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [name]
    return lambda X: session.run(names, {"a1": X})[0]


TRAINING: dict[str, Callable[..., Training]] = {
    "fastbp": fastbp,
    "JAX scan": jax_scan,
    "PyTorch eager": torch_eager,
    "torch.compile": torch_compile,
    "scikit-learn": scikit_learn,
    "NumPy": numpy,
}
PREDICTION: dict[str, Callable[..., Predict]] = {
    "fastbp": fastbp_predict,
    "onnxruntime": onnxruntime_predict,
    "PyTorch eager": torch_predict,
    "scikit-learn": scikit_learn_predict,
    "NumPy": numpy_predict,
}
PACKAGES = {
    "fastbp": ("fastbp",),
    "NumPy": ("numpy",),
    "JAX scan": ("jax",),
    "PyTorch eager": ("torch",),
    "torch.compile": ("torch",),
    "scikit-learn": ("sklearn",),
    "onnxruntime": ("onnxruntime", "onnx"),
}


def missing(peer: str) -> list[str]:
    """Return the packages that a peer needs and that aren't installed."""
    return [package for package in PACKAGES[peer] if importlib.util.find_spec(package) is None]
