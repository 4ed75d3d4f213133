"""Facts about the machine and how fastbp uses it."""

from __future__ import annotations

import os
import platform
from collections import Counter
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .._engine.team import usable_cores
from .._kernels.levels import LEVEL, REGISTER
from .._kernels.tuning import TALL

NEEDED = ("numpy", "numba", "llvmlite")
OPTIONAL = (
    *("jax", "keras", "matplotlib", "mpi4py", "onnx", "onnxruntime", "pandas", "pyarrow", "rich", "safetensors"),
    *("scikit-learn", "scipy", "shtab", "tensorboardX", "torch", "tqdm"),
)


def facts() -> dict[str, Any]:
    """Return package versions, the processor, the features that the kernels use, and the cache folder."""
    from llvmlite import binding

    return {
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in (*NEEDED, *OPTIONAL)},
        "processor": processor(),
        "architecture": binding.get_host_cpu_name(),
        "level": LEVEL.name,
        "register_bytes": REGISTER,
        "tile": {"rows": TALL, "registers": 2},
        "threads": usable_cores(),
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


def _cache() -> dict[str, Any]:
    """Describe the cache of machine code: its folder (None if there is none), its pieces, and the missing kernels."""
    from .._kernels import epoch, finite, small
    from .._kernels.disk import hash_of

    on_request = {"update": epoch.update, "reorder": epoch.reorder}  # compiled only if a user asks for them
    kernels = {  # kernels that `python -m fastbp.warmup` always compiles
        "is_finite": finite.is_finite,
        "train": epoch.train,
        "evaluate": epoch.evaluate,
        "train_tiny": small.train,
        "train_many": small.train_each,
    }
    folder = epoch.train.stats.cache_path
    files = list(Path(folder).glob("*.nbc")) if folder else []
    abouts = {name: _pieces(kernel) for name, kernel in (kernels | on_request).items()}
    made_for = Counter(f"{about['processor']}, numba {about['numba']}" for found in abouts.values() for about in found)
    target = hash_of(epoch.train.targetctx.codegen().magic_tuple())
    missing = {
        dtype: [name for name in kernels if not any(_is_of(about, dtype, target) for about in abouts[name])]
        for dtype in ("float32", "float64")
    }
    return {
        "folder": folder,
        "writable": bool(folder) and os.access(folder, os.W_OK),
        "pieces": len(files),
        "megabytes": sum(file.stat().st_size for file in files) / 1e6,
        "made_for": dict(made_for),
        "of_other_versions": len(files) - made_for.total(),
        "compiled": [dtype for dtype, names in missing.items() if not names],
        "to_compile": missing,
    }


def _pieces(kernel: Any) -> list[dict[str, str]]:
    """Return what is on disk for a kernel, for any processor, as in `Pieces.abouts`."""
    from .._kernels.disk import Disk

    return kernel._cache.pieces.abouts() if isinstance(kernel._cache, Disk) else []


def _is_of(about: dict[str, str], dtype: str, target: str) -> bool:
    """Return whether it fits this process and dtype. The float32 kernels also take float64 arrays."""
    return about["target"] == target and ("float32" in about["signature"]) == (dtype == "float32")
