"""The format of a file with kernels: a line of JSON that says what it holds, a digest, and the machine code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

DIGEST_BYTES = 32
HEADER_BYTES = 65536  # a longer first line is not a header


class Image(NamedTuple):
    """Machine code with its constants, and the offsets at which its functions begin."""

    code: bytes
    entries: dict[str, int]


def packed(image: Image, facts: Mapping[str, str]) -> bytes:
    """Return the bytes of the file. The same image and facts give the same bytes."""
    header = json.dumps({**facts, "entries": image.entries}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    return header + _digest(header, image.code) + image.code


def unpacked(data: bytes) -> tuple[dict[str, str], Image] | None:
    """Return the facts and the image, or None if the file is damaged or is another kind of file."""
    end = data.find(b"\n", 0, HEADER_BYTES) + 1
    header, digest, code = data[:end], data[end : end + DIGEST_BYTES], data[end + DIGEST_BYTES :]
    if digest != _digest(header, code):
        return None
    found = _parsed(header)
    if found is None or not all(0 <= offset < len(code) for offset in found[1].values()):
        return None
    return found[0], Image(code, found[1])


def facts_of(data: bytes) -> dict[str, str] | None:
    """Return what the first bytes of a file say that it holds, without a check of the rest."""
    found = _parsed(data[: data.find(b"\n") + 1])
    return None if found is None else found[0]


def _parsed(header: bytes) -> tuple[dict[str, str], dict[str, int]] | None:
    """Return the facts and the entries."""
    try:
        facts = json.loads(header)
        return facts, {str(name): int(offset) for name, offset in facts.pop("entries").items()}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def _digest(header: bytes, code: bytes) -> bytes:
    digest = hashlib.sha256(header)
    digest.update(code)
    return digest.digest()
