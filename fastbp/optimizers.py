"""The optimizers: names and codes."""

from ._kernels import codes

OPTIMIZERS = {"sgd": codes.SGD}
