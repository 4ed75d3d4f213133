"""Facts about the machine and how fastbp uses it."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .._engine.team import usable_cores
from .._kernels.levels import LEVEL, REGISTER
from .._kernels.tuning import TALL
from .._library import folders, store

NEEDED = ("numpy", "numba", "llvmlite")
OPTIONAL = (
    *("jax", "keras", "matplotlib", "mpi4py", "onnx", "onnxruntime", "pandas", "pyarrow", "rich", "safetensors"),
    *("scikit-learn", "scipy", "shtab", "tensorboardX", "torch", "tqdm"),
)


def facts() -> dict[str, Any]:
    """Return package versions, the processor, the level and files of the kernels, and the cache folder."""
    return {
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in (*NEEDED, *OPTIONAL)},
        "processor": processor(),
        "level": LEVEL.name,
        "register_bytes": REGISTER,
        "tile": {"rows": TALL, "registers": 2},
        "threads": usable_cores(),
        "kernels": {dtype: _kernels(dtype) for dtype in store.DTYPES},
        "cache": _cache(),
    }


def processor() -> str:
    """Return the processor's name from its maker."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def version_of(package: str) -> str | None:
    """Return a package's version, or None if it isn't installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _kernels(dtype: str) -> dict[str, Any] | str:
    """Describe the file that has the kernels of a dtype for this process, as `_library.library` finds it."""
    kind = store.Kind(dtype, LEVEL.name)
    for place in store.PLACES:
        path = store.path_in(place, kind)
        if path is not None:
            return {"from": place, "file": path, "built_with": _built_with(dict(store.stored()).get(path, {}))}
    return "not built yet; python -m fastbp.warmup builds them"


def _built_with(told: dict[str, str]) -> str:
    return ", ".join(f"{name} {told[name]}" for name in ("numba", "llvmlite") if told.get(name))


def _cache() -> dict[str, Any]:
    """Describe the cache folder, and the files with kernels that don't serve this process."""
    folder = store.folder_of(store.CACHE)
    kinds = [store.Kind(dtype, LEVEL.name, kernels=kernels) for kernels in store.KERNELS for dtype in store.DTYPES]
    serve = [store.path_in(place, kind) for place in store.PLACES for kind in kinds]
    others = {path: told for path, told in store.stored() if path not in serve}
    return {
        "folder": folder,
        "writable": _is_writable(folder),
        "trusted": _is_trusted(folder),
        "other_files": {path: f"{told.get('level')}, {_built_with(told)}" for path, told in others.items()},
    }


def _is_writable(folder: str | None) -> bool:
    """Return whether files can be stored there, perhaps after the folder is made."""
    if folder is None:
        return False
    while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return os.access(folder, os.W_OK)


def _is_trusted(folder: str | None) -> bool | str:
    """Return whether no other user can write there; else why fastbp doesn't use the folder."""
    try:
        folders.check(folder or "")
    except folders.Untrusted as error:
        return f"no: {error}"
    except OSError:
        pass  # it doesn't exist yet, and is made for this user alone
    return True
