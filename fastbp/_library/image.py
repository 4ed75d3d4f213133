"""Joins LLVM's object files to machine code that runs at any address. It is a linker, as small as possible.

An object is an ELF file for x86-64 or aarch64, on every operating system. It has code and constants, but no variables.
Its undefined symbols are functions of the other objects. All references are relative to the place where they stand, so
they can be resolved here. The image runs wherever a page of memory begins.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from .kernel_file import Image

PAGE = 4096  # the offset in a page of this size stands in the instructions of aarch64, on systems with larger pages too

RELOCATABLE, SYMBOLS, ADDENDS, NO_BITS, NO_ADDENDS = 1, 2, 4, 8, 9  # kinds of an object and of its sections
WRITABLE, ALLOCATED, EXECUTABLE, THREAD_LOCAL = 0x1, 0x2, 0x4, 0x400
UNDEFINED, RESERVED = 0, 0xFF00  # indices of sections that a symbol names
UNWINDING = (".eh_frame", ".gcc_except_table")  # no exception passes through a kernel

Patch = Callable[[bytearray, int, int], None]
"""Writes into the code, at a place, what leads from there to the target."""


class Section(NamedTuple):
    """A header of the object's table of sections."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


class Symbol(NamedTuple):
    """A name of a place in a section."""

    name: str
    section: int
    value: int
    size: int


class Need(NamedTuple):
    """A reference to a function of another object."""

    place: int
    kind: int
    addend: int
    name: str


class Piece(NamedTuple):
    """An object's code and constants, of which some references lead to other objects."""

    image: Image  # all functions that others can call
    needs: list[Need]
    machine: int
    places: dict[str, tuple[int, int]]  # where each function begins, also one that nobody else calls, and its bytes


def piece_of(object_bytes: bytes, names: Sequence[str]) -> Piece:
    """Lay out an object's code and constants, and connect them.

    Parameters
    ----------
    object_bytes : what `emit_object` of llvmlite returns for a triple of ELF
    names : the functions to call from Python, or from other objects

    Raises
    ------
    ValueError
        If the object has a variable, or lacks one of the names.
    """
    machine = _machine(object_bytes)
    sections = list(_sections(object_bytes))
    symbols: list[Symbol] = []
    for section in sections:
        if section.kind == SYMBOLS:
            symbols = list(_symbols(object_bytes, section, sections[section.link]))
    _refuse_variables(sections, symbols)
    starts, code = _laid_out(object_bytes, sections)
    needs = _connect(object_bytes, sections, symbols, starts, code, MACHINES[machine])
    places = {s.name: starts[s.section] + s.value for s in symbols if s.section in starts}
    missing = [name for name in names if name not in places]
    if missing:
        raise ValueError(f"the object does not define {', '.join(missing)}")
    sizes = {s.name: (places[s.name], s.size) for s in symbols if s.name in places and s.size}
    return Piece(Image(bytes(code), {name: places[name] for name in names}), needs, machine, sizes)


def joined(pieces: Iterable[Piece]) -> Image:
    """Return the image of some pieces, each of which begins at a page of its own, and connect them.

    Raises
    ------
    ValueError
        If they need something from outside.
    """
    code = bytearray()
    entries: dict[str, int] = {}
    needs = []
    for piece in pieces:
        code.extend(bytes(-len(code) % PAGE))
        start = len(code)
        entries |= {name: start + offset for name, offset in piece.image.entries.items()}
        code.extend(piece.image.code)
        needs += [(piece.machine, need._replace(place=start + need.place)) for need in piece.needs]
    undefined = dict.fromkeys(need.name for _, need in needs if need.name not in entries)
    if undefined:
        raise ValueError(f"the object needs {', '.join(undefined)}, which it does not define")
    for machine, need in needs:
        _patch(MACHINES[machine], need.kind, code, need.place, entries[need.name] + need.addend, need.name)
    return Image(bytes(code), entries)


def _machine(data: bytes) -> int:
    """Return the number of the processor's kind."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not an object of 64-bit little-endian ELF")
    kind, machine = struct.unpack_from("<HH", data, 16)
    if kind != RELOCATABLE or machine not in MACHINES:
        raise ValueError(f"not a relocatable object for x86-64 or aarch64: type {kind}, machine {machine}")
    return int(machine)


def _sections(data: bytes) -> Iterator[Section]:
    (offset,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + size * index) for index in range(count)]
    strings = headers[names][4]
    for name, kind, flags, _, place, length, link, info, alignment, _ in headers:
        yield Section(_string(data, strings + name), kind, flags, place, length, link, info, max(alignment, 1))


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()


def _symbols(data: bytes, table: Section, strings: Section) -> Iterator[Symbol]:
    for place in range(table.offset, table.offset + table.size, 24):
        name, _, _, section, value, size = struct.unpack_from("<IBBHQQ", data, place)
        yield Symbol(_string(data, strings.offset + name), section, value, size)


def _refuse_variables(sections: list[Section], symbols: list[Symbol]) -> None:
    """Raise an error that names what would have to be written in the image."""
    for index, section in enumerate(sections):
        if _is_kept(section) and (section.flags & (WRITABLE | THREAD_LOCAL) or section.kind == NO_BITS):
            names = ", ".join(
                symbol.name for symbol in symbols if symbol.section == index and symbol.name[:1] not in ("", "$")
            )
            raise ValueError(f"the object has variables, or constants that hold addresses, in {section.name}: {names}")


def _laid_out(data: bytes, sections: list[Section]) -> tuple[dict[int, int], bytearray]:
    """Return where each section begins in the image, and the image: code first, then constants."""
    kept = [index for index, section in enumerate(sections) if _is_kept(section)]
    kept.sort(key=lambda index: not sections[index].flags & EXECUTABLE)
    starts, code = {}, bytearray()
    for index in kept:
        section = sections[index]
        if section.alignment > PAGE:
            raise ValueError(f"{section.name} is aligned to {section.alignment} bytes, more than a page")
        code.extend(bytes(-len(code) % section.alignment))
        starts[index] = len(code)
        code.extend(data[section.offset : section.offset + section.size])
    return starts, code


def _is_kept(section: Section) -> bool:
    """Return whether the section is needed where the code runs."""
    needed = section.flags & ALLOCATED and section.size
    return bool(needed) and not section.name.startswith((*UNWINDING, ".note"))


def _connect(
    data: bytes,
    sections: list[Section],
    symbols: list[Symbol],
    starts: dict[int, int],
    code: bytearray,
    patches: dict[int, Patch],
) -> list[Need]:
    """Resolve the references in all sections of the image. Return those to other objects."""
    needs = []
    for table in sections:
        if table.kind not in (ADDENDS, NO_ADDENDS) or table.info not in starts:
            continue
        if table.kind == NO_ADDENDS:
            raise ValueError(f"{table.name} has references without addends")
        for offset in range(table.offset, table.offset + table.size, 24):
            place, info, addend = struct.unpack_from("<QQq", data, offset)
            symbol, kind, place = symbols[info >> 32], info & 0xFFFFFFFF, starts[table.info] + place
            if symbol.section == UNDEFINED:
                needs.append(Need(place, kind, addend, symbol.name))
                continue
            name = symbol.name or sections[symbol.section].name
            if symbol.section not in starts:
                what = "outside of all sections" if symbol.section >= RESERVED else "in a section that is left out"
                raise ValueError(f"{table.name} refers to {name!r}, {what}")
            _patch(patches, kind, code, place, starts[symbol.section] + symbol.value + addend, name)
    return needs


def _patch(patches: dict[int, Patch], kind: int, code: bytearray, place: int, target: int, name: str) -> None:
    """Resolve one reference."""
    if kind not in patches:
        raise ValueError(f"a reference to {name!r} is of kind {kind}, which {NOT_RELATIVE}")
    try:
        patches[kind](code, place, target)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a reference to {name!r} of kind {kind} does not fit: {error}") from None


NOT_RELATIVE = "is not relative to its place; functions must be internal or hidden, and their constants not addresses"


def _distance(layout: str) -> Patch:
    """The distance as a whole number."""

    def patch(code: bytearray, place: int, target: int) -> None:
        struct.pack_into(layout, code, place, target - place)

    return patch


def _branch(bits: int, at: int) -> Patch:
    """The distance in instructions of 4 bytes, in some bits of an instruction."""

    def patch(code: bytearray, place: int, target: int) -> None:
        _fill(code, place, _signed(target - place, bits, scale=2), bits, at)

    return patch


def _address(scale: int) -> Patch:
    """The distance in bytes or pages, as `adr` and `adrp` have it: the two lowest bits apart from the others."""

    def patch(code: bytearray, place: int, target: int) -> None:
        distance = _signed((target >> scale << scale) - (place >> scale << scale), 21, scale)
        _fill(code, place, distance & 3, 2, 29)
        _fill(code, place, distance >> 2, 19, 5)

    return patch


def _low(scale: int) -> Patch:
    """The offset in the target's page, in units of what is loaded there."""

    def patch(code: bytearray, place: int, target: int) -> None:
        offset = target % PAGE
        if offset % (1 << scale):
            raise OverflowError(f"{offset} is no multiple of {1 << scale}")
        _fill(code, place, offset >> scale, 12, 10)

    return patch


def _signed(distance: int, bits: int, scale: int) -> int:
    """Return the distance in units of 2^scale bytes, as a two's complement of so many bits."""
    units = distance >> scale
    if units << scale != distance or not -(1 << bits - 1) <= units < 1 << bits - 1:
        raise OverflowError(f"a distance of {distance} bytes")
    return units & ((1 << bits) - 1)


def _fill(code: bytearray, place: int, value: int, bits: int, at: int) -> None:
    """Put the value into some bits of the instruction."""
    (instruction,) = struct.unpack_from("<I", code, place)
    mask = ((1 << bits) - 1) << at
    struct.pack_into("<I", code, place, instruction & ~mask | value << at)


MACHINES: dict[int, dict[int, Patch]] = {
    62: {  # x86-64
        2: _distance("<i"),  # R_X86_64_PC32
        4: _distance("<i"),  # PLT32: of a function, which needs no detour here
        24: _distance("<q"),  # PC64
    },
    183: {  # aarch64
        260: _distance("<q"),  # R_AARCH64_PREL64
        261: _distance("<i"),  # PREL32
        262: _distance("<h"),  # PREL16
        314: _distance("<i"),  # PLT32
        273: _branch(19, 5),  # LD_PREL_LO19
        274: _address(0),  # ADR_PREL_LO21
        275: _address(12),  # ADR_PREL_PG_HI21
        277: _low(0),  # ADD_ABS_LO12_NC
        278: _low(0),  # LDST8_ABS_LO12_NC
        284: _low(1),  # LDST16_ABS_LO12_NC
        285: _low(2),  # LDST32_ABS_LO12_NC
        286: _low(3),  # LDST64_ABS_LO12_NC
        299: _low(4),  # LDST128_ABS_LO12_NC
        279: _branch(14, 5),  # TSTBR14
        280: _branch(19, 5),  # CONDBR19
        282: _branch(26, 0),  # JUMP26
        283: _branch(26, 0),  # CALL26
    },
}
"""How a reference is resolved, by the kind of processor and of reference. References through a table are missing."""
