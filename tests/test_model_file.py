"""A file that isn't as Trainer.save makes it is refused before anything is allocated for it."""

from __future__ import annotations

import json
import os
import stat
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastbp import EarlyStopping, ModelFileError, Trainer, optimizers
from tests.test_run import X, Y


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "model.npz"
    trainer = Trainer([3, 4, 2], optimizer="adam", seed=0)
    trainer.fit(X, Y, epochs=2, verbose=0)
    trainer.save(path)
    return path


def contents(path: Path) -> dict:
    """The header as JSON has it, and the arrays."""
    with np.load(path) as file:
        arrays = dict(file)
    return arrays | {"header": json.loads(arrays["header"].tobytes())}


def rewrite(path: Path, members: dict) -> None:
    np.savez(path, **(members | {"header": np.frombuffer(json.dumps(members["header"]).encode(), np.uint8)}))


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(path: Path, members: list[tuple[str, bytes]], **options) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", **options) as file:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in members:
            file.writestr(name, data)


def refuses(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=r"^path: expected .*, got ") as caught:
        Trainer.load(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"steps": -1}, "steps as integers from 0 to 9223372036854775807, got -1"),
        ({"steps": 1 << 63}, "steps as integers from 0 to"),
        ({"steps": 2.0}, "steps as int, got 2.0"),
        ({"steps": True}, "steps as int, got True"),
        ({"random": 1 << 64}, "random as integers from 0 to 18446744073709551615"),
        ({"dropout_seed": None}, "dropout_seed as int, got None"),
        ({"interrupted": 0}, "interrupted as bool, got 0"),
        ({"epochs": [1, 0]}, "epochs as integers from 1"),
        ({"epochs": [1, "2"]}, "epochs as integers from 1 to 9223372036854775807, got '2'"),
        ({"epochs": [1]}, "a list of 1 numbers as history of 'loss'"),
        ({"history": {}}, "a history of the loss, got none"),
        ({"history": {"loss": [1.0, None]}}, "a list of 2 numbers as history of 'loss', got None"),
        ({"history": {"loss": [1.0, True]}}, "a list of 2 numbers as history of 'loss', got True"),
        ({"history": {"loss": [1, 10**400]}}, "int too large to convert to float"),
        ({"history": {"loss": [1.0, 2.0], "mse": [1.0]}}, "a list of 2 numbers as history of 'mse'"),
        ({"history": {"loss": [1.0, 2.0], "mse": "12"}}, "a list of 2 numbers as history of 'mse', got '12'"),
        ({"options": []}, "options as dict, got []"),
        ({"more": 1}, "got one that differs in ['more']"),
        ({"version": 2}, "got one that differs in ['drop_last', 'dropout_schedule', 'ema', 'frozen', "),
        ({"version": 3}, "a file of fastbp's format version 1 or 2, got format 'fastbp', version 3"),
        ({"version": True}, "a file of fastbp's format version 1 or 2, got format 'fastbp', version True"),
        ({"version": True, "format": "x"}, "a file of fastbp's format version 1 or 2, got format 'x', version True"),
    ],
    ids=str,
)
def test_a_header_with_a_wrong_field(saved, edit, message):
    members = contents(saved)
    members["header"] |= edit
    rewrite(saved, members)
    refuses(saved, message)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"layer_sizes": [3]}, "two or more layer_sizes, got [3]"),
        ({"layer_sizes": [3, 4.0, 2]}, "layer_sizes as integers from 1 to 9223372036854775807, got 4.0"),
        ({"layer_sizes": [3, 0, 2]}, "layer_sizes as integers from 1"),
        ({"layer_sizes": [3, True, 2]}, "layer_sizes as integers from 1"),
        ({"layer_sizes": [3, 5, 2]}, "float32 of shape (32,) in parameters.npy, got dtype('float32') of shape (26,)"),
        ({"layer_sizes": [10**9, 10**9, 2]}, "got dtype('float32') of shape (26,)"),
        ({"layer_sizes": [2**62, 2**62]}, "got dtype('float32') of shape (26,)"),
        ({"layer_sizes": {"3": 2}}, "layer_sizes as list"),
        ({"dtype": "float64"}, "float64 of shape (26,) in parameters.npy, got dtype('float32')"),
        ({"dtype": "O"}, "dtype as one of float32, float64, got 'O'"),
        ({"optimizer": {"name": "sgd", **vars(optimizers.SGD())}}, "float32 of shape (0,) in first.npy, got"),
        ({"optimizer": {"name": "rmsprop", **vars(optimizers.RMSprop())}}, "float32 of shape (0,) in second.npy, got"),
        ({"optimizer": {"name": "eval"}}, "optimizer's name: expected one of 'adagrad'"),
        ({"optimizer": {"name": ["sgd"]}}, "optimizer's name: expected one of 'adagrad'"),
        ({"optimizer": {"name": "adam"}}, "optimizer: expected the fields ['beta_1'"),
        ({"optimizer": {"name": "adam", **vars(optimizers.Adam()), "more": 1}}, "optimizer: expected the fields ["),
        (
            {"optimizer": {"name": "adam", **vars(optimizers.Adam()), "beta_1": 1}},
            "beta_1: expected a number in [0, 1)",
        ),
        ({"loss": {"name": "custom", "function": "exit"}}, "loss's name: expected one of"),
        ({"loss": {"name": "quantile", "quantiles": [0.1] * 3}}, "layer_sizes: expected 3 outputs, one for each"),
        ({"loss": "hinge"}, "loss as dict, got 'hinge'"),
        ({"loss": {"name": ["gaussian_nll"], "beta": 0.0}}, "loss's name: expected one of"),
        ({"loss": {"name": "gaussian_nll", "beta": 2}}, "beta: expected a number in [0, 1], got 2"),
        ({"loss": {"name": "members", "loss": "huber", "n_members": 1}}, "n_members: expected an integer ≥ 2, got 1"),
        ({"loss": {"name": "members", "loss": {"name": "members"}, "n_members": 2}}, "loss's name: expected one of"),
        ({"loss": {"name": "members", "loss": [], "n_members": 2}}, "loss: expected one of"),
        ({"schedule": {"name": "step", "every": 0, "factor": 0.1}}, "every: expected an integer ≥ 1, got 0"),
        ({"activation": "tanh"}, "activation as list, got 'tanh'"),
        ({"activation": ["tanhh"]}, "did you mean 'tanh'?"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a finite number > 0, got nan"),
        ({"learning_rate": 10**400}, "learning_rate: expected a finite number > 0"),
        ({"l1": True}, "l1 as int or float, got True"),
        ({"batch_size": 0}, "batch_size: expected an integer ≥ 1, got 0"),
        ({"seed": -1}, "seed: expected an integer ≥ 0, got -1"),
        ({"initializer": "orthogonal"}, "initializer 'zeros', as the weights are in the file, got 'orthogonal'"),
        ({"metrics": 1}, "got one that differs in ['metrics']"),
    ],
    ids=str,
)
def test_a_header_with_a_wrong_option(saved, edit, message):
    members = contents(saved)
    members["header"]["options"] |= edit
    rewrite(saved, members)
    refuses(saved, message)


@pytest.mark.parametrize("part", ["header", "options"])
def test_a_header_without_one_of_its_fields(saved, part):
    members = contents(saved)
    record = members["header"] if part == "header" else members["header"]["options"]
    for name in record.keys() - {"format", "version"}:
        value = record.pop(name)
        rewrite(saved, members)
        refuses(saved, f"got one that differs in ['{name}']")
        record[name] = value


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"fastbp"', "[" * 100_000, '{"format": ' + "9" * 100_000, b"\xff\xfe\x00"]
)
def test_a_header_that_is_none(saved, text):
    members = contents(saved)
    members["header"] = np.frombuffer(text if isinstance(text, bytes) else text.encode(), np.uint8)
    np.savez(saved, **members)
    refuses(saved, "")


@pytest.mark.parametrize("name", ["parameters", "first", "second"])
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_not_loaded_and_not_saved(saved, name, number):
    members = contents(saved)
    members[name][7] = number
    rewrite(saved, members)
    refuses(saved, f"finite numbers as {name}, got {number} among them")
    trainer = Trainer([3, 4, 2], optimizer="adam")
    array = trainer.weights[0] if name == "parameters" else getattr(trainer._state.memory, name)
    array[0] = number
    before = saved.read_bytes()
    with pytest.raises(ValueError, match=f"trainer's {name}: expected finite numbers, got {number}"):
        trainer.save(saved)
    assert saved.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.astype("f8"), "float32 of shape (26,) in parameters.npy, got dtype('float64') of shape (26,)"),
        (lambda a: a.astype(">f4"), "got dtype('>f4')"),
        (lambda a: a.astype("i4"), "got dtype('int32')"),
        (lambda a: a[:-1], "of shape (25,)"),
        (lambda a: a[:0], "of shape (0,)"),
        (lambda a: a.reshape(2, 13), "of shape (2, 13)"),
        (lambda a: a.reshape(2, 13, order="F"), "of shape (2, 13) in Fortran order"),
        (lambda a: np.append(a, a), "of shape (52,)"),
    ],
)
def test_an_array_of_another_kind(saved, change, message):
    members = contents(saved)
    members["parameters"] = change(members["parameters"])
    rewrite(saved, members)
    refuses(saved, message)


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def test_nothing_is_unpickled(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    members = contents(saved)
    members["parameters"] = np.array([Trap()] * 26, object)
    np.savez(saved, **(members | {"header": np.frombuffer(json.dumps(members["header"]).encode(), np.uint8)}))
    refuses(saved, "got dtype('O') of shape (26,)")
    members["header"] = np.array([Trap()], object)
    np.savez(saved, **members)
    refuses(saved, "got dtype('O')")
    assert not Path("sprung").exists()


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", ""),
        (b"\x93NUMPX\x01\x00", ""),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (26,)}", bytes(100)), "166 bytes for 26 numbers"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (26,)}", bytes(108)), "174 bytes for 26 numbers"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999,)}"), "of shape (9999999999,)"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "of shape (-1,)"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (26,)}", bytes(104), b"\x02\x00"), "version (2, 0)"),
        (npy("{'descr': '<f4'}"), ""),
        (npy("__import__('os').abort()"), ""),
        (npy("(" * 250), ""),
        (npy("-" * 250 + "1"), ""),
        (npy("(" * 60_000), ""),
    ],
)
def test_an_array_with_a_wrong_header(saved, data, message):
    members = members_of(saved)
    members["parameters.npy"] = data
    archive(saved, list(members.items()))
    refuses(saved, message)


def test_an_archive_of_other_members(saved):
    members = list(members_of(saved).items())
    for changed in (
        members[:-1],
        [*members, ("more.npy", members[0][1])],
        [*members, members[1]],
        [("../header.npy", members[0][1]), *members[1:]],
        [],
    ):
        archive(saved, changed)
        refuses(saved, "not of header.npy, parameters.npy, first.npy, second.npy")
    archive(saved, members[::-1])
    assert Trainer.load(saved).epochs_trained == 2


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_is_not_unpacked(saved, method):
    members = members_of(saved) | {"first.npy": bytes(10_000_000)}
    archive(saved, list(members.items()), compression=method)
    assert saved.stat().st_size < 100_000
    refuses(saved, "a compressed or encrypted ")


def test_a_bit_anywhere_in_the_numbers_is_missed(saved):
    data = bytearray(saved.read_bytes())
    data[data.index(members_of(saved)["second.npy"]) + 200] ^= 1
    saved.write_bytes(data)
    refuses(saved, "Bad CRC-32")


def test_a_file_that_is_cut_or_grown(saved):
    data = saved.read_bytes()
    for size in (0, 1, 100, len(data) // 2, len(data) - 1):
        saved.write_bytes(data[:size])
        refuses(saved, "")
    saved.write_bytes(data + bytes(100_000))
    refuses(saved, "")


def test_a_huge_network_is_refused_without_memory_for_it(saved):
    members = contents(saved)
    members["header"]["options"]["layer_sizes"] = [30_000, 30_000]
    members["header"]["options"]["activation"] = []
    members["header"]["options"]["dropout"] = []
    rewrite(saved, members)
    tracemalloc.start()
    refuses(saved, "float32 of shape (900030000,) in parameters.npy")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_layers_by_the_hundred_thousand_are_refused_in_little_memory(saved):
    """Each would make several objects of Python."""
    members = contents(saved)
    count = 200_000
    options = members["header"]["options"]
    options |= {"layer_sizes": [1] * count, "activation": ["tanh"] * (count - 2), "dropout": [0.0] * (count - 2)}
    members |= dict.fromkeys(("parameters", "first", "second"), np.zeros(2 * (count - 1), np.float32))
    rewrite(saved, members)
    tracemalloc.start()
    refuses(saved, "no more than 10,000 layer_sizes, got 200,000")
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()


def test_the_largest_number_of_layers_comes_back(tmp_path):
    trainer = Trainer([1] * 10_000, optimizer="adam", seed=0)
    trainer.save(tmp_path / "deep.npz")
    tracemalloc.start()
    deep = Trainer.load(tmp_path / "deep.npz")
    assert tracemalloc.get_traced_memory()[1] < 60_000_000
    tracemalloc.stop()
    np.testing.assert_array_equal(deep.network.packed(), trainer.network.packed())


def test_memory_that_is_not_there_is_the_files_fault(saved):
    """A file of a hundred megabytes may ask for more."""

    class Poor(Trainer):
        def __init__(self, *args, **options):
            raise MemoryError

    with pytest.raises(ModelFileError, match="got one with MemoryError"):
        Poor.load(saved)


def test_a_history_that_is_too_long_is_neither_saved_nor_loaded(saved, monkeypatch):
    trainer = Trainer.load(saved)
    monkeypatch.setattr("fastbp._files.archive.HEADER_BYTES", 100)
    refuses(saved, "a header of no more than 100 bytes")
    with pytest.raises(ValueError, match="history: expected no more than 100 bytes as JSON"):
        trainer.save(saved)
    assert [item.name for item in saved.parent.iterdir()] == ["model.npz"]


def test_a_history_of_a_million_epochs_comes_back(saved):
    trainer = Trainer.load(saved)
    trainer.history.extend(3, np.random.default_rng(0).uniform(size=999_998).tolist())
    trainer.history.add({"val_loss": 1.0})
    trainer.save(saved)
    other = Trainer.load(saved)
    assert other.history.epochs == trainer.history.epochs
    assert other.history["loss"] == trainer.history["loss"]
    assert other.history.last() == trainer.history.last()


def test_what_the_system_says_of_a_path_stays_as_it_is(tmp_path, monkeypatch):
    with pytest.raises(IsADirectoryError):
        Trainer.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        Trainer([3, 2]).save(tmp_path / "nowhere" / "model.npz")

    def fails(*_, **__):
        raise OSError(5, "Input/output error")

    Trainer([3, 2]).save(tmp_path / "model.npz")
    monkeypatch.setattr("fastbp._files.archive.ZipFile", fails)
    with pytest.raises(OSError, match="Input/output error"):
        Trainer.load(tmp_path / "model.npz")


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(saved):
    saved.chmod(0)
    with pytest.raises(PermissionError):
        Trainer.load(saved)


def is_folder(handle: int) -> bool:
    return stat.S_ISDIR(os.fstat(handle).st_mode)


def test_the_folder_is_flushed_after_the_rename(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append((is_folder(handle), os.listdir(tmp_path))))
    Trainer([3, 2]).save(tmp_path / "model.npz")
    (first_is_folder, [temporary]), (second_is_folder, names) = flushed
    assert (first_is_folder, second_is_folder) == (False, True)
    assert temporary.startswith(".model.npz.")
    assert names == ["model.npz"]


def test_a_folder_that_cannot_be_flushed_is_no_failure(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_only(handle):
        if is_folder(handle):
            raise OSError(22, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", files_only)
    Trainer([3, 2], seed=0).save(tmp_path / "model.npz")
    assert Trainer.load(tmp_path / "model.npz").seed == 0


def test_what_a_kill_left_is_in_nobodys_way(saved):
    trainer = Trainer.load(saved)
    left = saved.parent / ".model.npz.0123abcd"
    left.write_bytes(b"half of a file")
    trainer.save(saved)
    assert Trainer.load(saved).history == trainer.history
    assert left.read_bytes() == b"half of a file"


def test_a_saved_file_is_as_readable_as_any_other(saved):
    other = saved.parent / "other"
    other.touch()
    assert saved.stat().st_mode == other.stat().st_mode


@pytest.fixture
def stopped(tmp_path) -> Path:
    """A file that has a callback's state, and weights in it."""
    path = tmp_path / "stopped.npz"
    trainer = Trainer([3, 4, 2], optimizer="adam", seed=0)
    trainer.fit(X, Y, epochs=3, callbacks=EarlyStopping("loss", mode="max"), verbose=0)
    trainer.save(path)
    assert Trainer.load(path)._state.callback_states[0][0] == "EarlyStopping"
    return path


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ([3], "a record of each callback, got 3"),
        ([{"callback": "x", "values": {}}], "got one that differs in ['arrays']"),
        ([{"callback": "x", "values": [], "arrays": {}}], "values as dict, got []"),
        ([{"callback": "x", "values": {}, "arrays": {"a": [3]}}], "lists of shapes as a callback's arrays, got [3]"),
        ([{"callback": "x", "values": {}, "arrays": {"a": [[-1]]}}], "lists of shapes as a callback's arrays"),
        ([{"callback": "x", "values": {}, "arrays": {"a": [[1 << 62] * 32]}}], "in states.npy, got"),
        ([{"callback": "x", "values": {}, "arrays": {"a": [[1] * 33]}}], "lists of shapes as a callback's arrays"),
        ([], "float32 of shape (0,) in states.npy, got dtype('float32') of shape (26,)"),
        ({}, "callbacks as list, got {}"),
    ],
    ids=str,
)
def test_a_state_that_is_none(stopped, edit, message):
    members = contents(stopped)
    members["header"]["callbacks"] = edit
    rewrite(stopped, members)
    refuses(stopped, message)


def test_a_state_without_its_numbers(stopped):
    members = contents(stopped)
    del members["states"]
    rewrite(stopped, members)
    refuses(stopped, "26 numbers as states, got none")


def test_a_state_with_wrong_values_is_refused_by_its_callback(stopped):
    members = contents(stopped)
    members["header"]["callbacks"][0]["values"]["waited"] = "__import__"
    rewrite(stopped, members)
    trainer = Trainer.load(stopped)
    with pytest.raises(ValueError, match=r"state: expected a waited that EarlyStopping\.state_dict returns"):
        trainer.fit(X, Y, epochs=4, initial_epoch=3, callbacks=EarlyStopping("loss", mode="max"), verbose=0)
