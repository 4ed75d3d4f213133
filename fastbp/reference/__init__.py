"""Reference implementation of the method in plain NumPy. The tests compare every kernel with it.

It is slow and simple on purpose, and imports no other module of fastbp. Symbols (docs/method.md): X = a¹ is (m, n_1),
zˡ and aˡ are (m, n_l), Θˡ is (n_{l+1}, n_l), bˡ is (n_{l+1},), y is (m, n_L), δˡ = ∂J/∂zˡ is (m, n_l). Lists start at
the first layer that has the item: ``weights[0]`` is Θ¹, ``activations[0]`` is the name of the f of layer 2.

A plain network is a list of arrays. `fastbp.reference.blocks` and `fastbp.reference.networks` contain networks of other
layers, and `fastbp.reference.layer_training` trains them. `fastbp.reference.row_losses` contains the losses with
several outputs for each target.
"""

from .activations import (
    FORMULAS,
    GELU_CUBIC,
    GELU_LINEAR,
    SELU_ALPHA,
    SELU_SCALE,
    SLOPE,
    Array,
    activation,
    gelu_tanh,
    gelu_tanh_derivative,
    mish_derivative,
    normal_cdf,
    normal_pdf,
    sigmoid,
    softmax,
    softplus,
    through_activation,
)
from .costs import Loss, cost, losses, output_delta, output_losses, shares
from .plain import forward, gradients, hidden_delta, input_gradients, jacobian, vjp
from .training import clip, dropout_mask, limit_norms, train_epoch, update

__all__ = [
    "FORMULAS",
    "GELU_CUBIC",
    "GELU_LINEAR",
    "SELU_ALPHA",
    "SELU_SCALE",
    "SLOPE",
    "Array",
    "Loss",
    "activation",
    "clip",
    "cost",
    "dropout_mask",
    "forward",
    "gelu_tanh",
    "gelu_tanh_derivative",
    "gradients",
    "hidden_delta",
    "input_gradients",
    "jacobian",
    "limit_norms",
    "losses",
    "mish_derivative",
    "normal_cdf",
    "normal_pdf",
    "output_delta",
    "output_losses",
    "shares",
    "sigmoid",
    "softmax",
    "softplus",
    "through_activation",
    "train_epoch",
    "update",
    "vjp",
]
