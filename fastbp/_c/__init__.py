"""A trained network as C: one C99 file and its header, without dependencies or allocation. See docs/c-export.md."""
