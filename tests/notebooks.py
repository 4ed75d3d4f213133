"""The notebooks of docs/notebooks, run from the first cell to the last.

    python -m tests.notebooks      runs them anew and writes their outputs into them

A notebook runs in an empty folder. An error in a cell ends the run with that error.
"""

from __future__ import annotations

import base64
import io
import os
import tempfile
from pathlib import Path

from .pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
LANGUAGE = {"name": "python"}  # without the version, which says nothing about a notebook


def small(picture: str) -> str:
    """A picture with a palette of 64 colours, a third of its size: PNG in base64, as notebooks keep it."""
    from PIL import Image

    file = io.BytesIO()
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def refresh(path: Path) -> None:
    """Run a notebook and write its outputs into it."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, 4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=100,
            startup_timeout=200,
            record_timing=False,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--IPKernelApp.log_level=40"],
        )
        client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
        left = sorted(os.listdir(folder))
    if left:
        raise RuntimeError(f"{path.name} leaves files behind: {', '.join(left)}")
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = small(output.data["image/png"])
    notebook.metadata["language_info"] = LANGUAGE
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    from fastbp.warmup import warm_up

    warm_up()  # so that no output says that kernels are compiled
    for path in NOTEBOOKS:
        print(path.relative_to(ROOT))
        refresh(path)
