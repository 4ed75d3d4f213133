"""Print where the time of a training or a prediction goes, by kernel, from samples of the program counter.

    python -m bench.where "64-64-64-10, 32" [--threads 1 2] [--dtype float32] [--seconds 2] [--annotate tile.multiply]

The argument is a row of `compare.py` or any "sizes, batch". Shares are those of the time that threads compute: a thread
that sleeps has no samples. A kernel that LLVM has put into its caller counts as part of it. --annotate shows the
instructions of a kernel that take most of its time. The processor notes an instruction late, so a wait for memory
appears at the instruction that needs it.

Kernel files have no names of functions. The first run after a change of the kernels therefore builds them again.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from fastbp._kernels.levels import LEVEL
from fastbp._library import build, library, store
from fastbp._library.image import PAGE, Piece, joined
from fastbp.benchmark.server import work

from .compare import asked
from .counter import Sampler
from .peak import peak

FREQUENCY = 5000  # samples of a processor in a second
WARM_SECONDS = 0.4  # of training before the samples, in which fastbp tries numbers of threads
LEAST = 0.005  # a kernel with a smaller share has no line
BESIDE_PAUSE = 32  # bytes before and after a `pause`, which a loop that waits for other threads consists of
GROUPS = (  # the first that fits the name of a kernel
    ("waiting", r"^waiting$|^(team|atomics|workers)\.|^work"),
    ("copies", r"pack|ready|transpose|mirror|gather|copy_row|spread"),
    ("epilogues", r"^(activations|losses|curves|elementary|dropout)\.|activate|output_errors|derivative|softmax"),
    ("updates", r"step_along|^updates\.|sum_rows|watching|^update$"),
    ("products", r"^(tile|wide|blocks|few)\.|multiply"),
    ("tiny", r"^(small|squares|online|options)\.|^train_tiny"),
    ("rest", ""),
)
FAMILIES = (  # kinds of instructions, by their names in objdump's text
    ("multiply-adds", r"^v?fn?m(add|sub|la|ls)"),
    ("prefetches", r"^prfm|^prefetch"),
    ("broadcasts and shuffles", r"^v?(broadcast|perm|shuf|unpck|insert|extract|blend|dup|zip|trn|uzp)"),
    ("loads and stores", r"^v?mov.*\(|^v?mov.*\[|^(ld|st)[rpn1]"),
    ("other vector arithmetic", r"^v|^f[a-z]+ .*[vsd]\d"),
    ("other", ""),
)
LINE = re.compile(r"^\s*([0-9a-f]+):\t(?:[0-9a-f]{2} )+\s*(?:\t(.*))?$")  # of objdump


class Function(NamedTuple):
    """Where a kernel lies in the image."""

    place: int
    size: int
    name: str


def readable(name: str) -> str:
    """Return module.function for a name that Numba has mangled, and other names as they are."""
    if not name.startswith("_ZN"):
        return name.removeprefix("apart_").removesuffix("_float32").removesuffix("_float64")
    place, words = 3, []
    while number := re.match(r"\d+", name[place:]):
        place += number.end()
        words.append(name[place : place + int(number.group())])
        place += int(number.group())
    words = [w for w in words if w not in ("fastbp", "_kernels", "_3clocals_3e") and not re.fullmatch(r"v\d+", w)]
    return ".".join(words[:1] + words[-1:] if len(words) > 1 else words).replace("inlined_", "").replace("apart_", "")


def functions_of(pieces: Iterable[Piece]) -> list[Function]:
    """Return the kernels of the pieces in the order in which `joined` lays them out."""
    found, start = [], 0
    for piece in pieces:
        start += -start % PAGE
        found += [Function(start + place, size, name) for name, (place, size) in piece.places.items()]
        start += len(piece.image.code)
    return sorted(found)


def names_file(code: bytes) -> Path:
    """Return where the names of the kernels in this code are kept."""
    folder = store.cache_folder() or tempfile.gettempdir()
    return Path(folder) / "names" / f"{hashlib.sha256(code).hexdigest()[:24]}.json"


def keep_names(pieces: Sequence[Piece]) -> list[Function]:
    """Write down where the kernels of these pieces are, and return it."""
    functions, path = functions_of(pieces), names_file(joined(pieces).code)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(functions))
    return functions


def functions_in(code: bytes, dtype: str) -> list[Function]:
    """Return where the kernels are in the code, for which they may have to be built again."""
    path = names_file(code)
    if not path.exists():
        print("building the kernels for their names", file=sys.stderr, flush=True)
        keep_names(build.pieces(dtype, LEVEL.name))
    if not path.exists():
        raise SystemExit("other sources or compilers have built these kernels; run python -m fastbp.warmup first")
    return [Function(*function) for function in json.loads(path.read_text())]


def disassembled(code: bytes, function: Function) -> dict[int, str]:
    """Return the instructions of a function by their places; none if there is no objdump."""
    machine = ["-m", "aarch64"] if LEVEL.machine == "aarch64" else ["-m", "i386:x86-64"]
    limits = [f"--start-address={function.place}", f"--stop-address={function.place + function.size}"]
    with tempfile.NamedTemporaryFile() as file:
        file.write(code)
        file.flush()
        try:
            command = ["objdump", "-D", "-b", "binary", *machine, *limits, file.name]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return {}
    lines = (LINE.match(line) for line in text.splitlines())
    return {int(line[1], 16): " ".join(line[2].split()) for line in lines if line and line[2]}


def first_fit(kinds: Iterable[tuple[str, str]], text: str) -> str:
    """Return the name of the first kind whose pattern occurs in the text."""
    return next(kind for kind, pattern in kinds if re.search(pattern, text))


def file_at(address: int) -> str:
    """Return the library that is at an address of this process."""
    for begin, end, name in _files():
        if begin <= address < end:
            return name
    return "other code"


@cache
def _files() -> list[tuple[int, int, str]]:
    """Return the files in executable memory: where each begins and ends, and its name."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    limits = [(line[0].split("-"), line[-1]) for line in lines if "x" in line[1] and len(line) > 5]
    return [(int(begin, 16), int(end, 16), os.path.basename(name)) for (begin, end), name in limits]


class Split:
    """Samples, by kernel and place.

    Parameters
    ----------
    code : the image
    start : its address
    functions : its kernels
    addresses : the samples
    """

    def __init__(self, code: bytes, start: int, functions: Sequence[Function], addresses: Sequence[int]) -> None:
        self.all, self.code = len(addresses), code
        self.places: dict[Function, Counter[int]] = {}
        self.texts: dict[Function, dict[int, str]] = {}
        starts = [function.place for function in functions]
        for address in addresses:
            place = address - start
            function = functions[max(0, bisect_right(starts, place) - 1)]
            if not 0 <= place - function.place < function.size:
                function = Function(0, 0, file_at(address))
            self.places.setdefault(function, Counter())[place] += 1
        for function in [f for f, found in self.places.items() if f.size and found.total() > LEAST * self.all]:
            self.texts[function] = disassembled(code, function)
            self._set_waits_apart(function)

    def _set_waits_apart(self, function: Function) -> None:
        """Count samples beside a `pause` as waiting, in whatever kernel the loop is."""
        pauses = [place for place, text in self.texts[function].items() if re.match(r"pause|yield|isb", text)]
        found, waits = self.places[function], self.places.setdefault(Function(0, 0, "waiting"), Counter())
        for place in list(found):
            if any(abs(place - pause) <= BESIDE_PAUSE for pause in pauses):
                waits[place] += found.pop(place)

    def shares(self) -> dict[str, float]:
        """Return the share of each kernel, the largest first. Functions with equal names count together."""
        shares: Counter[str] = Counter()
        for function, found in self.places.items():
            shares[readable(function.name)] += found.total()
        return {name: count / self.all for name, count in shares.most_common() if count}

    def families(self, name: str) -> str:
        """Return how the samples of a kernel divide into kinds of instructions."""
        kinds: Counter[str] = Counter()
        for function, texts in self.texts.items():
            if readable(function.name) == name:
                for place, count in self.places[function].items():
                    kinds[first_fit(FAMILIES, texts.get(place, ""))] += count
        return ", ".join(f"{kind} {count / kinds.total():.0%}" for kind, count in kinds.most_common(4))

    def annotated(self, name: str) -> list[str]:
        """Return the instructions of a kernel around those with the most samples, each with its share of all."""
        lines: list[str] = []
        for function, texts in self.texts.items():
            if readable(function.name) != name:
                continue
            places, found = list(texts), self.places[function]
            hot = {i for i, place in enumerate(places) if found[place] > 0.001 * self.all}
            shown = sorted({j for i in hot for j in range(i - 2, i + 3) if 0 <= j < len(places)})
            lines.append(f"{readable(function.name)}, {function.size} bytes at {function.place:#x}:")
            for before, i in zip([None, *shown], shown, strict=False):
                lines += ["    …"] if before is not None and i > before + 1 else []
                share = f"{found[places[i]] / self.all:6.1%}" if found[places[i]] else " " * 6
                lines.append(f"{share}  {places[i]:x}  {texts[places[i]]}")
        return lines


def measure(sampler: Sampler, row: str, dtype: str, threads: int, seconds: float) -> tuple[list[int], float, float]:
    """Return the addresses of samples, ns per sample or row of X, and the share of the time that threads computed."""
    call, samples = work("fastbp", threads, asked(row), dtype)
    started = perf_counter()
    while perf_counter() - started < WARM_SECONDS:
        call()
    addresses, calls, passed = [], 0, 0.0
    while passed < seconds:
        started = perf_counter()
        with sampler:
            while (now := perf_counter()) - started < min(1.0, seconds):  # the buffers have room for more
                call()
                calls += 1
        passed += now - started
        addresses += [sample.address for sample in sampler.samples()]
    return addresses, passed / (calls * samples) * 1e9, len(addresses) / (FREQUENCY * passed * threads)


HEADS = (
    "row",
    "dtype",
    "threads",
    "ns a sample",
    "% of peak",
    "products at",
    *(group for group, _ in GROUPS),
    "asleep",
)


def table_row(row: str, dtype: str, threads: int, ns: float, computed: float, split: Split) -> str:
    """Return a line of a Markdown table, with the shares of the groups in %."""
    rate, best = asked(row).flop / ns, peak(dtype, threads)
    shares: Counter[str] = Counter()
    for name, share in split.shares().items():
        shares[first_fit(GROUPS, name)] += share
    speed = f"{rate / shares['products'] / best:.0%}".removesuffix("%") if shares["products"] > LEAST else ""
    cells = [f"{100 * shares[group]:.0f}" if shares[group] > LEAST else "" for group, _ in GROUPS]
    figures = [f"{ns:,.0f}", f"{100 * rate / best:.0f}", speed, *cells, f"{100 * max(0, 1 - computed):.0f}"]
    return f"| {row} | {dtype} | {threads} | {' | '.join(figures)} |"


def report(row: str, dtype: str, threads: int, ns: float, computed: float, split: Split) -> list[str]:
    """Return the lines of a row."""
    rate, best = asked(row).flop / ns, peak(dtype, threads)
    lines = [
        f"{row}, {dtype}, {threads} thread{'s' * (threads > 1)}: {ns:,.1f} ns a sample, {rate:.1f} GFLOP/s, "
        f"{rate / best:.0%} of the peak ({best:.0f}); threads compute {min(computed, 1):.0%} of the time"
    ]
    shares = split.shares()
    for group, _ in GROUPS:
        inside = {name: share for name, share in shares.items() if first_fit(GROUPS, name) == group}
        if not inside:
            continue
        total = sum(inside.values())
        speed = f", {rate / total:.0f} GFLOP/s, {rate / total / best:.0%} of the peak" if group == "products" else ""
        lines.append(f"  {group:<10} {total:6.1%} {total * ns:10,.1f} ns{speed}")
        for name, share in inside.items():
            if share >= LEAST:
                kinds = split.families(name)
                lines.append(f"      {share:6.1%}  {name}{f': {kinds}' if kinds else ''}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="+", metavar="ROW", help='as in compare.py, or any "sizes, batch"')
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--dtype", nargs="+", choices=("float32", "float64"), default=["float32"])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--table", action="store_true", help="a line of a Markdown table for each row")
    parser.add_argument("--annotate", nargs="+", default=[], metavar="KERNEL", help="for example tile.multiply")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sampler = Sampler(FREQUENCY)  # before all threads
    if options.table:
        print(f"| {' | '.join(HEADS)} |\n| --- | --- |{' ---: |' * (len(HEADS) - 2)}", flush=True)
    for dtype in options.dtype:
        kernels, image = library.library(dtype), store.find(store.Kind(dtype, LEVEL.name))
        if image is None:
            raise SystemExit("the kernels can't be stored, and so have no names")
        functions = functions_in(image.code, dtype)
        entry = min(image.entries, key=image.entries.__getitem__)
        start = ctypes.cast(getattr(kernels, entry), ctypes.c_void_p).value - image.entries[entry]
        for row in options.rows:
            for threads in options.threads:
                addresses, ns, computed = measure(sampler, row, dtype, threads, options.seconds)
                split = Split(image.code, start, functions, addresses)
                if options.table:
                    print(table_row(row, dtype, threads, ns, computed, split), flush=True)
                else:
                    print("\n".join(report(row, dtype, threads, ns, computed, split)), flush=True)
                for name in options.annotate:
                    print("\n".join(split.annotated(name)), flush=True)


if __name__ == "__main__":
    main()
