"""The kernels as machine code: how it is laid out, stored and loaded. Numba is needed only to build it.

`build` compiles the kernels of one data type for one processor level to a few object files. `image` joins them to code
that runs at any address, `store` keeps the code in a file, and `memory` makes it executable. This needs no linker, no C
compiler and no shared library. The file may therefore be in a zip, and two builds give the same bytes.
"""
