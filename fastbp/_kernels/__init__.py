"""The ground floor: Numba only, no Python objects, no I/O, no messages.

The order of calls, for one block of samples (symbols: reference.py and docs/method.md)::

    epoch.train                    epochs of batches; the entry from Trainer.fit
    ├── random.shuffle             a new order of the samples, once an epoch
    ├── epoch.accumulate_gradients one block; the entry from Trainer.gradients
    │   ├── epoch.gather           rows of X → a¹, labels or rows of y → targets
    │   ├── forward.forward        a¹ → zᴸ, layer by layer        (activations.activate)
    │   ├── losses.output_error    zᴸ → aᴸ, J, δᴸ
    │   └── backward.backward      δᴸ → ∂J/∂Θˡ, ∂J/∂bˡ, δˡ  (activations.multiply_by_derivative)
    └── updates.update             Θˡ ← Θˡ − η ∂J/∂Θˡ
    epoch.predict, epoch.evaluate  the forward half; the entries from predict and evaluate

`jit` says how everything is compiled, `codes` holds the integers and the records that kernels take.
Nothing here checks an argument: Python does, once, before it calls.
"""
