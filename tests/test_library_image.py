"""Objects of LLVM become machine code at one piece: it runs, and it is refused where it would not."""

from __future__ import annotations

import ctypes
import platform
import struct
from itertools import pairwise

import llvmlite.binding as llvm
import pytest

from fastbp._library.image import MACHINES, joined, piece_of
from fastbp._library.memory import executable

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()

LINUX, LINUX_ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
WINDOWS, APPLE = "x86_64-pc-windows-msvc-elf", "arm64-apple-darwin-elf"
IS_ARM = platform.machine().lower() in ("arm64", "aarch64")
HERE = LINUX_ARM if IS_ARM else LINUX


def image_of(code: bytes, names: list[str]):
    """The image of one object, which needs nothing from outside."""
    return joined([piece_of(code, names)])


ENTRY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)

# A jump table, constants of each size, vectors, calls, and one at the end of a function
PROGRAM = r"""
@table = internal constant [5 x double] [double 1.0, double 2.5, double 3.0, double 4.0, double -1.0]
@floats = internal constant [8 x float]
  [float 1.0, float 2.5, float 3.0, float 4.0, float -1.0, float 6.0, float 7.0, float 8.0], align 64
@bytes = internal constant [4 x i8] c"abcd"
@shorts = internal constant [4 x i16] [i16 1, i16 -2, i16 3, i16 4]

define internal double @line(double %x, i64 %i) noinline {
  %place = getelementptr [5 x double], ptr @table, i64 0, i64 %i
  %slope = load double, ptr %place
  %y = fmul double %slope, %x
  %z = fadd double %y, 0x400921FB54442D18
  ret double %z
}

define i64 @entry(ptr %record, i64 %thread) {
  %what = load i64, ptr %record
  switch i64 %what, label %other [
    i64 0, label %call
    i64 1, label %vectors
    i64 2, label %bytes
    i64 3, label %fixed
    i64 4, label %far
    i64 5, label %last ]
call:
  %y = call double @line(double 3.0, i64 %thread)
  %whole = fptosi double %y to i64
  ret i64 %whole
vectors:
  %eight = load <8 x float>, ptr @floats
  %place = getelementptr i8, ptr %record, i64 64
  %old = load <8 x float>, ptr %place, align 4
  %sum = fadd <8 x float> %eight, %old
  store <8 x float> %sum, ptr %place, align 4
  ret i64 7
bytes:
  %letter = getelementptr i8, ptr @bytes, i64 %thread
  %character = load i8, ptr %letter
  %number = sext i8 %character to i64
  ret i64 %number
fixed:
  %short = load volatile i16, ptr getelementptr (i8, ptr @shorts, i64 2)
  %long = sext i16 %short to i64
  ret i64 %long
far:
  %b = load volatile i8, ptr getelementptr (i8, ptr @bytes, i64 2)
  %b64 = zext i8 %b to i64
  %f = load volatile float, ptr getelementptr (i8, ptr @floats, i64 4)
  %f64 = fptosi float %f to i64
  %d = load volatile double, ptr getelementptr (i8, ptr @table, i64 8)
  %d64 = fptosi double %d to i64
  %bf = add i64 %b64, %f64
  %bfd = add i64 %bf, %d64
  ret i64 %bfd
last:
  %hundreds = call i64 @second(ptr %record, i64 %thread)
  %more = add i64 %hundreds, 1
  ret i64 %more
other:
  ret i64 -1
}

define i64 @second(ptr %record, i64 %thread) noinline {
  %times = tail call i64 @times(i64 %thread)
  ret i64 %times
}

define internal i64 @times(i64 %n) noinline {
  %product = mul i64 %n, 100
  ret i64 %product
}
"""


def object_of(text: str, triple: str = HERE, cpu: str | None = None) -> bytes:
    module = llvm.parse_assembly(text)
    module.triple = triple
    cpu = cpu or ("generic" if triple.startswith("a") else "x86-64-v2")
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3, reloc="pic", codemodel="small")
    return machine.emit_object(module)


def levels_of_this_processor() -> list[str]:
    has = llvm.get_host_cpu_features()
    if IS_ARM:
        return ["generic"]
    return ["x86-64", "x86-64-v2"] + ["x86-64-v3"] * has["avx2"] + ["x86-64-v4"] * has["avx512vl"]


@pytest.mark.parametrize("cpu", levels_of_this_processor())
def test_an_image_runs_at_any_address(cpu):
    image = image_of(object_of(PROGRAM, HERE, cpu), ["entry", "second"])
    for _ in range(2):  # each time at another address
        start = executable(image.code)
        entry = ENTRY(start + image.entries["entry"])
        record = (ctypes.c_int64 * 16)()

        def call(what, thread, entry=entry, record=record):
            record[0] = what
            return entry(ctypes.addressof(record), thread)

        assert [call(0, thread) for thread in range(5)] == [6, 10, 12, 15, 0]
        assert [call(2, thread) for thread in range(4)] == list(b"abcd")
        assert [call(what, 3) for what in (1, 3, 4, 5, 6)] == [7, -2, ord("c") + 2 + 2, 301, -1]
        eight = (ctypes.c_float * 8).from_buffer(record, 64)
        assert list(eight) == [1, 2.5, 3, 4, -1, 6, 7, 8]


def test_a_piece_knows_where_all_of_its_functions_are():
    piece = piece_of(object_of(PROGRAM), ["entry"])
    assert piece.places["entry"][0] == piece.image.entries["entry"]
    ends = sorted((begin, begin + size) for begin, size in piece.places.values())
    assert len(ends) >= 3, "`line` is internal"
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends))


def test_images_run_together():
    doubled = "define i64 @double(i64 %n) {\n %m = shl i64 %n, 1\n ret i64 %m\n}"
    image = joined([piece_of(object_of(PROGRAM), ["entry", "second"]), piece_of(object_of(doubled), ["double"])])
    assert list(image.entries) == ["entry", "second", "double"]
    start = executable(image.code)
    functions = {name: ENTRY(start + offset) for name, offset in image.entries.items()}
    record = (ctypes.c_int64 * 16)(4)  # reads constants, whose offsets in their pages stand in the code of aarch64
    assert functions["entry"](ctypes.addressof(record), 0) == ord("c") + 2 + 2
    assert functions["double"](21, 0) == 42


def test_an_image_calls_the_functions_of_another():
    """In both directions, with a piece between them."""
    caller = """
declare i64 @six(i64)
define i64 @seven() {
  ret i64 7
}
define i64 @product(i64 %n) {
  %m = call i64 @six(i64 %n)
  %more = add i64 %m, 1
  ret i64 %more
}"""
    called = """
declare i64 @seven()
define i64 @six(i64 %n) {
  %m = call i64 @seven()
  %all = mul i64 %m, %n
  %more = add i64 %all, 6
  ret i64 %more
}"""
    between = piece_of(object_of(PROGRAM), ["entry"])
    first, last = piece_of(object_of(caller), ["seven", "product"]), piece_of(object_of(called), ["six"])
    image = joined([first, between, last])
    assert ENTRY(executable(image.code) + image.entries["product"])(5, 0) == 7 * 5 + 6 + 1
    with pytest.raises(ValueError, match="needs six, which"):
        joined([first, between])


@pytest.mark.parametrize("triple", [LINUX, LINUX_ARM, WINDOWS, APPLE])
def test_two_images_of_an_object_are_the_same(triple):
    image = image_of(object_of(PROGRAM, triple), ["entry"])
    assert image == image_of(object_of(PROGRAM, triple), ["entry"])
    assert struct.pack("<5d", 1, 2.5, 3, 4, -1) in image.code
    assert list(image.entries) == ["entry"]


def loads_of(code: bytes) -> dict[int, str]:
    """Return each address that a pair of adrp and a load or an addition gives on aarch64, and the second's kind."""
    kinds = {0x39400000: "b", 0x79C00000: "h", 0x79800000: "h", 0xBD400000: "f", 0xFD400000: "d", 0x91000000: "add"}
    found, pages = {}, {}
    for place in range(0, len(code) - 3, 4):
        (word,) = struct.unpack_from("<I", code, place)
        if word & 0x9F000000 == 0x90000000:  # adrp
            distance = (word >> 29 & 3) | (word >> 5 & 0x7FFFF) << 2
            distance -= (distance & 1 << 20) << 1
            pages[word & 31] = (place >> 12) + distance << 12
        kind, register = kinds.get(word & 0xFFC00000), word >> 5 & 31
        if kind is not None and register in pages:
            scale = {"b": 0, "h": 1, "f": 2, "d": 3, "add": 0}[kind]
            found[pages[register] + ((word >> 10 & 0xFFF) << scale)] = kind
    return found


def test_code_for_aarch64_loads_its_constants():
    """Read from the instructions, because this processor may not be able to run them."""
    code = image_of(object_of(PROGRAM, LINUX_ARM), ["entry"]).code
    loads = loads_of(code)
    assert {kind: code[place : place + 2] for place, kind in loads.items() if kind == "h"} == {"h": b"\xfe\xff"}
    assert {code[place : place + 1] for place, kind in loads.items() if kind == "b"} == {b"c"}
    assert {code[place : place + 4] for place, kind in loads.items() if kind == "f"} == {struct.pack("<f", 2.5)}
    pi = 0x400921FB54442D18
    assert {code[place : place + 8] for place, kind in loads.items() if kind == "d"} == {
        struct.pack("<Q", pi),
        struct.pack("<d", 2.5),
    }
    tables = {code[place : place + 4] for place, kind in loads.items() if kind == "add"}
    assert {struct.pack("<d", 1.0)[:4], b"abcd"} <= tables


REFUSED = {
    "an undefined function": (
        "declare double @log(double)\n"
        "define double @f(double %x) {\n %y = call double @log(double %x)\n ret double %y\n}",
        "needs log",
    ),
    "a variable": (
        "@count = internal global i64 7\ndefine i64 @f() {\n %n = load volatile i64, ptr @count\n ret i64 %n\n}",
        r"variables.*\.data: count$",
    ),
    "a variable that is zero": (
        "@count = internal global i64 0\ndefine i64 @f() {\n %n = load volatile i64, ptr @count\n ret i64 %n\n}",
        r"variables.*\.bss: count$",
    ),
    "a variable of each thread": (
        "@count = internal thread_local global i64 7\ndefine i64 @f() {\n %n = load i64, ptr @count\n ret i64 %n\n}",
        r"variables.*\.tdata: count$",
    ),
    "addresses in constants": (
        "define internal void @g() {\n ret void\n}\n@calls = internal constant [2 x ptr] [ptr @g, ptr @f]\n"
        "define ptr @f(i64 %i) {\n %p = getelementptr [2 x ptr], ptr @calls, i64 0, i64 %i\n"
        " %c = load ptr, ptr %p\n ret ptr %c\n}",
        r"constants that hold addresses, in \.data\.rel\.ro.*calls",
    ),
    "a table of addresses": (
        "@far = external global i64\ndefine ptr @f() {\n ret ptr @far\n}",
        "needs far|not relative",
    ),
    "a missing function": ("define void @g() {\n ret void\n}", "does not define f"),
    "too large an alignment": (
        "@wide = internal constant [2 x i64] [i64 1, i64 2], align 8192\n"
        "define i64 @f() {\n %n = load volatile i64, ptr @wide\n ret i64 %n\n}",
        "more than a page",
    ),
}


@pytest.mark.parametrize("triple", [LINUX, LINUX_ARM])
@pytest.mark.parametrize("what", REFUSED)
def test_what_could_not_run_is_refused_and_named(what, triple):
    text, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        image_of(object_of(text, triple), ["f"])


def test_a_reference_by_way_of_a_table_is_refused():
    text = "define void @g() noinline {\n ret void\n}\ndefine ptr @f() {\n ret ptr @g\n}"
    with pytest.raises(ValueError, match=r"reference to 'g' is of kind .* internal or hidden"):
        image_of(object_of(text, LINUX), ["f"])
    image_of(object_of(text.replace("void @g", "hidden void @g", 1), LINUX), ["f"])


@pytest.mark.parametrize(
    "data", [b"", b"\x7fELF\x01\x01" + bytes(60), b"MZ" + bytes(60), b"\xcf\xfa\xed\xfe" + bytes(60)]
)
def test_other_files_are_refused(data):
    with pytest.raises(ValueError, match="ELF"):
        image_of(data, [])


def test_an_object_for_another_machine_is_refused():
    data = bytearray(object_of(PROGRAM))
    struct.pack_into("<H", data, 18, 243)  # RISC-V
    with pytest.raises(ValueError, match="machine 243"):
        image_of(bytes(data), [])
    struct.pack_into("<HH", data, 16, 3, 62)  # a shared library
    with pytest.raises(ValueError, match="type 3"):
        image_of(bytes(data), [])


X86, ARM = MACHINES[62], MACHINES[183]


@pytest.mark.parametrize(
    ("kind", "instruction", "place", "target", "expected"),
    [
        # as a disassembler reads them: b, bl, b.eq, tbz, ldr, adr, adrp twice, add, ldr of 16 bytes
        (282, 0x14000000, 8, 0, 0x17FFFFFE),
        (283, 0x94000000, 0, 12, 0x94000003),
        (280, 0x54000000, 4, 0, 0x54FFFFE0),
        (279, 0x36000000, 4, 0, 0x3607FFE0),
        (273, 0x58000000, 0, 8, 0x58000040),
        (274, 0x10000000, 4, 1, 0x30FFFFE0),
        (275, 0x90000000, 4100, 5, 0xF0FFFFE0),
        (275, 0x90000000, 4, 4096 * 5 + 3, 0xB0000020),
        (277, 0x91000000, 0, 4096 + 9, 0x91002400),
        (299, 0x3DC00000, 0, 4096 + 32, 0x3DC00800),
    ],
)
def test_instructions_of_aarch64_get_their_distances(kind, instruction, place, target, expected):
    code = bytearray(8192)
    struct.pack_into("<I", code, place, instruction)
    ARM[kind](code, place, target)
    assert hex(struct.unpack_from("<I", code, place)[0]) == hex(expected)


@pytest.mark.parametrize(
    ("patch", "target"),
    [
        (ARM[283], 1 << 27),
        (ARM[283], 6),
        (ARM[279], 1 << 15),
        (ARM[280], -(1 << 20) - 4),
        (ARM[275], 1 << 33),
        (ARM[299], 8),
    ],
)
def test_what_is_too_far_or_between_instructions_is_refused(patch, target):
    with pytest.raises(OverflowError):
        patch(bytearray(4), 0, target)


@pytest.mark.parametrize(("patch", "target"), [(X86[2], 1 << 31), (ARM[262], 1 << 15)])
def test_a_number_that_is_too_small_for_the_distance_is_refused(patch, target):
    with pytest.raises(struct.error):
        patch(bytearray(8), 0, target)
