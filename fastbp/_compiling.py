"""A word to whoever waits for a compilation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from ._kernels import epoch

PATIENCE = 1.0  # seconds before the message


@contextmanager
def said_if_compiling(*, silent: bool) -> Iterator[None]:
    """Say so on standard error when the training kernel's first call takes over a second, since it is compiled then."""
    if silent or epoch.train.signatures:
        yield
        return
    text = "fastbp: compiling the kernels for this machine, once; later runs find them on disk …\n"
    timer = Timer(PATIENCE, sys.stderr.write, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
