"""Ways to spoil a model file: each takes the bytes of a good one and a source of chance, and gives other bytes."""

from __future__ import annotations

import io
import json
import os
import random
import re
import struct
import warnings
import zipfile
from collections.abc import Callable

import numpy as np

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"  # the records of a zip archive
RECORD_BYTES = {LOCAL: 30, CENTRAL: 46, END: 22}
SIZES = (0, 1, 127, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
DEEP, LONG = "~deep~", "~long~"  # stand for what json.dumps doesn't write
VALUES = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 1.5, -0.5, 1e308, 1e-320, float("nan"), float("inf"), -float("inf")),
    *(10**9, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), 10**400, DEEP, LONG),
    *("", "x", "nan", "tanh", "sigmoid", "sgd", "adam", "float32", "float64", "O", "é\udc80\0", "a" * 10_000),
    *([], {}, [[]], [{}], [1, 2], [10**9, 10**9], [2**62] * 3, [1] * 5000, [None], ["tanh"], {"name": "adam"}),
)

Mutation = Callable[[bytes, random.Random], bytes]


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8, 64))):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def change_bytes(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        changed[chance.randrange(len(data))] = chance.choice((0, 255, chance.randrange(256)))
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    start, stop = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return chance.choice((data[:start], data[start:], data[:start] + data[stop:]))


def grow(data: bytes, chance: random.Random) -> bytes:
    more = chance.choice((chance.randbytes(chance.randrange(1, 200)), bytes(100_000), data, data[-22:]))
    place = chance.choice((0, len(data), chance.randrange(len(data))))
    return data[:place] + more + data[place:]


def copy_block(data: bytes, chance: random.Random) -> bytes:
    size = chance.randrange(1, 64)
    source, place = (chance.randrange(len(data) - size) for _ in range(2))
    return data[:place] + data[source : source + size] + data[place + size :]


def edit_archive(data: bytes, chance: random.Random) -> bytes:
    """Sizes, offsets, flags, methods and lengths in the archive's own records."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        kind = chance.choice((LOCAL, CENTRAL, CENTRAL, END))
        record = chance.choice([match.start() for match in re.finditer(re.escape(kind), data)])
        width = chance.choice((2, 4))
        place = record + 4 + 2 * chance.randrange((RECORD_BYTES[kind] - 4 - width) // 2 + 1)
        number = chance.choice((*SIZES, len(data), chance.getrandbits(32))) & ((1 << 8 * width) - 1)
        changed[place : place + width] = number.to_bytes(width, "little")
    return bytes(changed)


def edit_json(data: bytes, chance: random.Random) -> bytes:
    """Values, names, lengths and depths in the header, under a right checksum."""
    members = _members(data)
    header = json.loads(_content(members["header.npy"]))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        place = header
        while (inner := [item for item in _items(place) if isinstance(item, list | dict) and item]) and (
            place is header or chance.random() < 0.5
        ):
            place = chance.choice([*inner, header])
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        value = chance.choice((*VALUES, place[key], [place[key]]))
        match chance.randrange(6):
            case 0:
                del place[key]
            case 1 if isinstance(place, dict):
                place[chance.choice(("more", "", "loss", "layer_sizes", "__class__"))] = value
            case 1:
                place.append(value)
            case _:
                place[key] = value
        if not header:
            break
    text = json.dumps(header).replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000).replace(f'"{LONG}"', "9" * 50_000)
    return _archive(members | {"header.npy": _npy(np.frombuffer(text.encode(), np.uint8))})


def edit_json_text(data: bytes, chance: random.Random) -> bytes:
    """The header's bytes, under a right checksum."""
    members = _members(data)
    text = _content(members["header.npy"])
    spoilt = chance.choice((flip_bits, change_bytes, cut, grow, copy_block))(text, chance)
    return _archive(members | {"header.npy": _npy(np.frombuffer(spoilt, np.uint8))})


def edit_npy(data: bytes, chance: random.Random) -> bytes:
    """The header of an array, under a right checksum."""
    members = _members(data)
    name = chance.choice(list(members))
    content = members[name]
    length = 10 + struct.unpack_from("<H", content, 8)[0]
    head, body = content[10:length].decode(), content[length:]
    descr = chance.choice(("<f4", "<f8", ">f4", "|u1", "|O", "<U9", "|V0", "<i8", "<f2", "M8[ns]", "f4,f4", ""))
    shape = chance.choice(("(0,)", "(1,)", "(-1,)", "(10000000000,)", "()", "(2, 13)", "(True,)", "(2.0,)", "1"))
    match chance.randrange(6):
        case 0:
            head = re.sub("'descr': '[^']*'", f"'descr': {descr!r}", head)
        case 1:
            head = re.sub(r"'shape': \([^)]*\)", f"'shape': {shape}", head)
        case 2:
            head = head.replace("False", chance.choice(("True", "None", "0", "(" * 90)))
        case 3:
            head = chance.choice(("(" * 200, "-" * 200 + "1", "[" * 50_000, "__import__('os').abort()", "", "\0" * 64))
        case 4:
            head = flip_bits(head.encode("latin1"), chance).decode("latin1")
        case _:
            body = chance.choice((body[:-1], body + b"\0", b"", body * 2))
    version = chance.choice((content[6:8],) * 9 + (b"\x02\x00", b"\x03\x00", b"\xff\xff"))
    packed = b"\x93NUMPY" + version + struct.pack("<H", len(head)) + head.encode("latin1") + body
    return _archive(members | {name: packed})


def edit_members(data: bytes, chance: random.Random) -> bytes:
    """Members that come twice, are missing, have other names or contents, are compressed, unpack to far more."""
    members = list(_members(data).items())
    i = chance.randrange(len(members))
    name, content = members[i]
    method = zipfile.ZIP_STORED
    match chance.randrange(7):
        case 0:
            members.insert(chance.randrange(5), (name, content))
        case 1:
            del members[i]
        case 2:
            members[i] = (chance.choice(("", "x.npy", f"/{name}", f"../{name}", name[:-4], f"{name}\0")), content)
        case 3:
            members[i] = (name, chance.choice([other for key, other in members if key != name]))
        case 4:
            method = chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        case 5:
            members[i] = (name, content + bytes(chance.choice((1, 20_000_000))))
            method = zipfile.ZIP_DEFLATED
        case _:
            chance.shuffle(members)
    return _archive(members, method)


class Trap:
    """Ends whichever process unpickles it."""

    def __reduce__(self) -> tuple:
        return os._exit, (99,)


def pickle_arrays(data: bytes, chance: random.Random) -> bytes:
    """Objects in place of numbers."""
    members = _members(data)
    name = chance.choice(list(members))
    objects = np.array([Trap()] * chance.choice((1, 26)), object)
    return _archive(members | {name: _npy(objects)})


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    change_bytes,
    cut,
    grow,
    copy_block,
    edit_archive,
    edit_json,
    edit_json,  # has most to it
    edit_json_text,
    edit_npy,
    edit_members,
    pickle_arrays,
)


def _items(place: list | dict) -> list:
    return list(place.values()) if isinstance(place, dict) else place


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(members: dict[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def _content(npy: bytes) -> bytes:
    return np.lib.format.read_array(io.BytesIO(npy)).tobytes()
