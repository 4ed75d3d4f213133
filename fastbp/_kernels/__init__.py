"""The ground floor: Numba only, no Python objects, no I/O, no messages.

The order of calls (symbols: reference.py and docs/method.md)::

    epoch.train                     epochs of batches, in blocks; the entry from fit and gradients
    ├── random.shuffle              a new order of the samples, once an epoch
    ├── epoch.gather                rows of X → a¹, labels or rows of y → targets
    ├── forward.forward             a¹ → zᴸ, layer by layer                (tile and wide, activations, dropout)
    ├── backward.output_errors      zᴸ → aᴸ, J, δᴸ                         (losses.output_error)
    ├── backward.hidden_errors      δᴸ → δ²                                (tile and wide)
    ├── backward.descend            ∂J/∂Θˡ, ∂J/∂bˡ: stored, added, or descended along at once  (tile, wide, mirrors)
    └── updates.step_along          penalties, clipping, an optimizer's step, max-norm: what isn't plain descent
    epoch.reorder, epoch.update     shuffle and step_along by themselves, where processes share a batch (shared_run.py)
    epoch.evaluate                  the forward half; the entry from predict and evaluate
    small.train                     the same as epoch.train for tiny networks, from lists of tasks

Below them: `tile` is the matrix product, `wide` the same of wide layers, `mirrors` have Θ transposed for the way back,
`blocks` are the registers that a tile works in, `elementary` exp and its kin, `curves` the rarer activations,
`squares` the vectors of small.py, `foreign` a user's own loss, `bits` the inside of a vector, `llvm` the vector
itself, `team` and `atomics` where threads meet. `jit` says how everything is compiled, `drafts` what is compiled
within others alone, `disk` keeps machine code, `codes` holds the integers and the records that kernels take,
`addresses` turns records of arrays into records of addresses. Nothing here checks an argument: Python does, once,
before it calls.
"""
