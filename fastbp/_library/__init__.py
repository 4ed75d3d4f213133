"""The kernels as machine code: how it is laid out, stored and loaded. Numba is needed only to build it.

Numba's output for all kernels of one data type and one processor level is one object file without undefined symbols.
`image` makes position-independent code of it, `store` keeps it in a file, and `memory` makes it executable. No
linker, no compiler and no shared library is involved, so a file in a zip serves as well, and two builds give the same
bytes.
"""
