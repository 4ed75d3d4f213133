"""The integers that stand for names inside kernels, and the records in which arguments travel.

m is the number of samples in a block, L the number of layers, n_l a layer's size, p_l its padded width.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# Activations
IDENTITY, SIGMOID, TANH, RELU, SOFTMAX = range(5)

# Losses
SQUARED_ERROR, CROSS_ENTROPY, BINARY_CROSS_ENTROPY = range(3)

# Optimizers
SGD = 0

# Places in Progress.position
EPOCH, SAMPLE = range(2)


class Plan(NamedTuple):
    """What the network is: the same record type for every architecture, so kernels compile once a dtype."""

    sizes: npt.NDArray[np.int64]  # (L,) n_l
    widths: npt.NDArray[np.int64]  # (L,) p_l ≥ n_l
    columns: npt.NDArray[np.int64]  # (L + 1,) sum of the widths of the layers before
    weights: npt.NDArray[np.int64]  # (L − 1,) offset of Θˡ, stored transposed: n_l rows of p_{l+1}
    biases: npt.NDArray[np.int64]  # (L − 1,) offset of bˡ: one row of p_{l+1}
    activations: npt.NDArray[np.int64]  # (L,) code of each layer's f; entry 0 is unused
    loss: int
    use_bias: bool


class Buffers(NamedTuple):
    """Where the kernels read and write; allocated once, before the first epoch."""

    parameters: npt.NDArray[np.floating]  # Θˡ and bˡ of all layers, as the plan says
    gradients: npt.NDArray[np.floating]  # ∂J/∂Θˡ and ∂J/∂bˡ, same layout
    a: npt.NDArray[np.floating]  # (m · Σ p_l) aˡ of one block, layer after layer
    delta: npt.NDArray[np.floating]  # (m · Σ p_l, l > 1) δˡ of one block
    targets: npt.NDArray[np.floating]  # (m · n_L) y of one block


class Data(NamedTuple):
    """The samples; of targets and labels one is empty, or both where there is nothing to compare with."""

    X: npt.NDArray[np.floating]  # (n, n_1)
    targets: npt.NDArray[np.floating]  # (n, n_L) or (0, n_L)
    labels: npt.NDArray[np.int64]  # (n,) class numbers, or (0,)
    order: npt.NDArray[np.int64]  # (n,) written by every epoch's shuffle, or (0,): the order of X


class Step(NamedTuple):
    """How the parameters move."""

    optimizer: int
    learning_rate: float
    batch_size: int
    block: int  # rows of a batch that are in the workspace at once


class Progress(NamedTuple):
    """Where training is, so that a call can end anywhere between two blocks and the next one go on."""

    position: npt.NDArray[np.int64]  # (2,) epochs finished, samples seen of the running one
    random: npt.NDArray[np.uint64]  # (1,) state of the shuffling
    losses: npt.NDArray[np.float64]  # (epochs,) mean loss of each epoch; of the running one the sum so far
