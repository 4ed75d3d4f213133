"""The kernels: functions that Numba compiles to machine code.

Kernels work on numbers and arrays only. They print nothing and check no argument: Python checks once, before the call.

The order of calls (symbols: reference.py and docs/method.md)::

    epoch.train                     epochs of batches, in blocks; the entry for fit and gradients
    ├── random.reorder              makes a new order of the samples, once per epoch
    ├── samples.gather              rows of X → a¹, labels or rows of y → targets
    ├── forward.forward             a¹ → zᴸ, layer by layer                (tile and wide, activations, dropout)
    ├── backward.output_errors      zᴸ → aᴸ, J, δᴸ                         (losses.output_error)
    ├── backward.hidden_errors      δᴸ → δ²                                (tile and wide)
    ├── backward.descend            ∂J/∂Θˡ, ∂J/∂bˡ: stored, added or descended along at once  (tile, wide, mirrors)
    ├── updates.step_along          penalties, clipping, an optimizer's step, max-norm: all but plain descent
    └── watching.goes_on            the validation loss after an epoch, and whether training goes on
    random.shuffle, epoch.update    shuffle and step_along alone, if processes share a batch (shared_run.py)
    epoch.evaluate                  the forward half; the entry for predict and evaluate
    workers.run_with_workers        runs an entry in several threads, which stay ready between calls
    small.train                     the same as epoch.train for tiny networks, from lists of tasks
    online.train                    the same for batches of one to four samples, from lists of tasks

The files below these: `tile` has the matrix product, `wide` the product for wide layers, `few` that for few rows,
`mirrors` the transposed copies of Θ, `blocks` the registers of a tile, `elementary` exp and similar functions, `curves`
the rarer activations, `squares` the vectors of small.py, `options` the options of small.py that few networks have,
`foreign` the user's own loss, `bits` operations inside a vector, `llvm` the vector type, `team` and `atomics` the
meetings of threads. `jit` has the options of compilation, and `apart` compiles large functions on their own.
`entries` has the functions that Python calls, `calls` describes their arguments, and `records` reads these.
`codes` has the integers and records that kernels take, `tasks` those of small.py and online.py. `levels` has the
processor levels, `shapes` the sizes of packed memory, `constants` the numbers in formulas, and `tuning` all constants
that are tuned for speed.

`calls`, `codes`, `constants`, `levels`, `shapes`, `tasks` and `tuning` are plain Python. Other packages of fastbp
import them without importing Numba.
"""
