"""The engine: calls the kernels for one network, with the layout of its parameters, its workspaces and threads."""
