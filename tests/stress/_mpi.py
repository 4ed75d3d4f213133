"""What processes of an MPI job need on this machine."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MISSING = [
    name
    for name, there in (("mpiexec", shutil.which("mpiexec")), ("mpi4py", importlib.util.find_spec("mpi4py")))
    if not there
]
ENVIRONMENT = os.environ | {  # more ranks than cores; root where a container has nobody else
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "PYTHONPATH": str(ROOT),
}
