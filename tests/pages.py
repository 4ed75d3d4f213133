"""The code on the pages: found, run in order, and what it prints compared with what the page shows.

    python -m tests.pages docs/tutorial.md      runs the page anew, and writes its outputs and pictures into it

Python blocks of a page share one namespace and a temporary folder; `console` blocks run their `fastbp` commands there.
What a Python block prints stands in a `text` block right behind it, with … for what differs from run to run.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
WITHIN = 0.05  # of a number with a decimal point, or of 1: processors round differently, and training amplifies it
NOT_RUN = {  # the start of a command or of a block: why it isn't run here
    "make ": "makes an environment of its own; .ci/run does that",
    "pip install": "likewise",
    "from dask.distributed import Client": "needs a cluster: tests/test_jobs.py makes one",
    "mpiexec ": "starts processes: tests/test_distributed.py does",
}


def pages() -> list[Path]:
    """The README and all of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A piece of code on a page, and what it is said to print."""

    line: int  # where the code begins
    language: str
    code: str
    output: str | None  # None where nothing is shown
    span: tuple[int, int]  # of the output in the page's text; empty where nothing is shown


def blocks(text: str) -> list[Block]:
    """What a page has to run, in order: Python blocks, and commands one by one."""
    found = []
    fences = list(FENCE.finditer(text))
    for number, fence in enumerate(fences):
        line = text.count("\n", 0, fence.start()) + 2
        if fence[1] == "python":
            behind = fences[number + 1] if number + 1 < len(fences) else None
            shown = behind is not None and behind[1] == "text" and not text[fence.end() : behind.start()].strip()
            output, span = (behind[2], behind.span(2)) if behind is not None and shown else (None, (fence.end(),) * 2)
            found.append(Block(line, "python", fence[2], output, span))
        elif fence[1] == "console":
            found += _commands(fence[2], line, fence.start(2))
    return found


def _commands(text: str, line: int, start: int) -> Iterator[Block]:
    for command in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
        at = line + text.count("\n", 0, command.start())
        span = (start + command.start(2), start + command.end(2))
        yield Block(at, "console", command[1], command[2], span)


def is_run(block: Block) -> bool:
    """Whether it is none of NOT_RUN."""
    return not block.code.startswith(tuple(NOT_RUN))


def run_page(page: Path, folder: Path) -> list[tuple[Block, str]]:
    """Run the page's blocks in the folder; each with what it printed."""
    import matplotlib as mpl

    mpl.use("Agg")
    namespace: dict[str, object] = {"__name__": "__main__"}
    ran = []
    with _inside(folder):
        for block in filter(is_run, blocks(page.read_text("utf-8"))):
            printed = io.StringIO()  # no terminal: lines instead of bars
            errors = io.StringIO() if block.language == "python" else printed
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
                if block.language == "python":
                    # as many lines before it as on the page, so that an error names the page's line
                    exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), namespace)
                else:
                    _run_command(block.code)
            ran.append((block, printed.getvalue()))
    from matplotlib import pyplot

    pyplot.close("all")
    return ran


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _run_command(command: str) -> None:
    from fastbp.__main__ import main

    words = shlex.split(command, comments=True)
    if words[:3] == ["python", "-m", "fastbp"]:
        words = words[2:]
    if words[0] != "fastbp":
        raise ValueError(f"{command}: a fastbp command is expected, or one that tests/pages.py says is not run")
    with contextlib.suppress(SystemExit):  # --help ends so
        main(words[1:])


def check(page: Path) -> None:
    """Run a page in a folder of its own.

    Raises
    ------
    AssertionError
        For what it printed and doesn't show, or shows otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        for block, printed in run_page(page, Path(folder)):
            shown = block.output or ""
            assert agrees(shown, printed), f"{page}:{block.line} shows\n{shown}\nand printed\n{printed}"


def agrees(shown: str, printed: str) -> bool:
    """Whether a page's output is what came: a line … stands for any lines, … for any text, decimals are rounded."""
    return _agree(shown.rstrip().splitlines(), printed.rstrip().splitlines())


def _agree(shown: list[str], printed: list[str]) -> bool:
    if not shown:
        return not printed
    if shown[0].strip() == "…":
        return any(_agree(shown[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and _same_line(shown[0], printed[0]) and _agree(shown[1:], printed[1:])


def _same_line(shown: str, printed: str) -> bool:
    parts = [" ".join(part.split()) for part in NUMBER.split(shown)]
    pattern = r"\s*([-+\d.,e]+)\s*".join(".*".join(map(re.escape, part.split("…"))) for part in parts)
    match = re.fullmatch(pattern.replace(r"\ ", r"\s+"), printed.strip())
    return match is not None and all(map(_close, NUMBER.findall(shown), match.groups()))


def _close(shown: str, printed: str) -> bool:
    if "." not in shown and "e" not in shown:
        return shown == printed
    try:
        expected, came = (float(text.replace(",", "")) for text in (shown, printed))
    except ValueError:
        return False
    return abs(expected - came) <= WITHIN * max(1.0, abs(expected))


def refresh(page: Path) -> None:
    """Run a page, and write into it what its blocks printed where that is otherwise; its pictures too."""
    text = page.read_text("utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for block, printed in reversed(run_page(page, folder)):
            if block.output is None and printed:
                text = f"{text[: block.span[0]]}\n\n```text\n{printed.rstrip()}\n```{text[block.span[1] :]}"
            elif block.output is not None and not agrees(block.output, printed):
                text = text[: block.span[0]] + printed.rstrip() + "\n" + text[block.span[1] :]
        for picture in PICTURE.findall(text):
            if (folder / picture).exists():
                (page.parent / picture).parent.mkdir(exist_ok=True)
                shutil.copyfile(folder / picture, page.parent / picture)
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        refresh(Path(argument).resolve())
