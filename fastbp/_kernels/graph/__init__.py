"""The kernels for networks of layers: whatever `Trainer` trains that is more than Θˡ, bˡ and activations.

They are a library of their own, which is built and loaded only for networks that need it. A network is a list of
operations (`nodes`), which `epoch` runs forward and, in the opposite order, backward. Each thread takes whole rows of
a block, forward and backward, so that threads meet only where data crosses rows: before the gradients of parameters,
and for the statistics of batch norm. `row_losses` has the losses that need a whole row, with the formulas of
`likelihoods`; `row_functions` compiles the user's own.
"""
