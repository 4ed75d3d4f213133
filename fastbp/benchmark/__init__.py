"""fastbp compared with other libraries on this machine, for `fastbp bench` and bench/compare.py.

`workloads` has what is timed, `peers` the same work in each library, `server` the process of one peer, and `turns` runs
the processes in turn.
"""

PEERS = {  # by their names on the command line
    "numpy": "NumPy",
    "jax": "JAX scan",
    "torch": "PyTorch eager",
    "torch.compile": "torch.compile",
    "scikit-learn": "scikit-learn",
    "onnxruntime": "onnxruntime",
    "fann": "FANN",
}
SELDOM = ("torch.compile", "fann")  # one needs a C++ compiler and half a minute, the other serves batches of one sample
USUAL = tuple(name for name in PEERS if name not in SELDOM)
