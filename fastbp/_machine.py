"""What fastbp makes of the machine that it runs on."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from llvmlite import binding

from ._kernels import epoch
from ._kernels.llvm import FEATURES, HEIGHT, REGISTER
from ._team import usable_cores

PACKAGES = ("numpy", "numba", "llvmlite", "pandas", "pyarrow", "scikit-learn", "scipy", "matplotlib", "tqdm")


def facts() -> dict[str, Any]:
    """Versions of other packages, the processor, what the kernels take of it, where their machine code is kept."""
    return {
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in PACKAGES},
        "processor": binding.get_host_cpu_name(),
        "features": sorted(feature[1:] for feature in FEATURES.split(",") if feature.startswith("+")),
        "register_bytes": REGISTER,
        "tile": {"rows": HEIGHT, "registers": 2},
        "threads": usable_cores(),
        "cache": _cache(),
    }


def processor() -> str:
    """The processor's name as its maker writes it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def version_of(package: str) -> str | None:
    """A package's version; None where it isn't installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cache() -> dict[str, Any]:
    """The folder of machine code, and what is in it; no folder where Numba found none to write to."""
    folder = epoch.train.stats.cache_path
    pieces = list(Path(folder).glob("*.nbc")) if folder else []
    return {"folder": folder, "files": len(pieces), "bytes": sum(piece.stat().st_size for piece in pieces)}
