"""fastbp train, predict, evaluate, info: on real tables, and on broken ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn import datasets, metrics

from fastbp import Callback, Trainer, tables
from fastbp.__main__ import main
from fastbp._cli.split import split, strata
from fastbp._kernels.levels import LEVEL
from fastbp._library import kernel_file, store
from tests.commands import run, said

ROOT = Path(__file__).parent.parent


def iris() -> pandas.DataFrame:
    data = datasets.load_iris(as_frame=True)
    frame = data.frame.drop(columns="target")
    return frame.assign(colour=np.where(frame.index % 3, "white", "blue"), y=data.target_names[data.target])


def cancer() -> pandas.DataFrame:
    data = datasets.load_breast_cancer(as_frame=True)
    return data.frame.rename(columns={"target": "y"}).assign(clinic=np.where(data.frame.index % 2, "north", "south"))


def diabetes() -> pandas.DataFrame:
    frame = datasets.load_diabetes(as_frame=True).frame.rename(columns={"target": "y"})
    return frame.assign(sex=np.where(frame["sex"] > 0, "a", "b"))


@pytest.fixture
def model(folder) -> Path:
    text = "size,colour,y\n1,red,a\n2,blue,b\n3,red,a\n4,blue,b\n5,red,c\n6,blue,c\n"
    (folder / "data.csv").write_text(text)
    assert run("train data.csv --out model.npz --epochs 2 --validation 0 --seed 0 --quiet") == 0
    return folder / "model.npz"


@pytest.mark.parametrize(
    ("frame", "metric", "least"), [(iris(), "accuracy", 0.9), (cancer(), "f1", 0.93), (diabetes(), "r2", 0.3)]
)
def test_train_predict_evaluate(folder, capsys, frame, metric, least):
    frame = frame.sample(frac=1, random_state=0)
    n = len(frame) * 4 // 5
    frame[:n].to_csv("train.csv", index=False)
    frame[n:].to_csv("test.csv", index=False)
    options = "--seed 0 --networks 1 --epochs 60 --patience never --plot curves.png"
    assert run(f"train train.csv --out model.npz {options} --json") == 0
    assert said(capsys)["epochs"] == 60
    assert (folder / "curves.png").stat().st_size > 1000
    assert run(f"evaluate model.npz test.csv --metrics {metric} --json") == 0
    measured = said(capsys)["measured"]
    assert measured[metric] >= least
    assert main(["predict", "model.npz", "test.csv", "--out", "predictions.csv"]) == 0
    predictions, truth = pandas.read_csv("predictions.csv")["y"], frame["y"][n:].to_numpy()
    if metric == "r2":
        errors = predictions - truth
        assert measured["mae"] == pytest.approx(abs(errors).mean(), rel=1e-4)
        assert measured["rmse"] == pytest.approx((errors**2).mean() ** 0.5, rel=1e-4)
    else:
        assert measured["accuracy"] == pytest.approx((predictions == truth).mean())


def test_probabilities(model, capsys):
    assert main(["predict", str(model), "data.csv", "--probabilities"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "y,probability_a,probability_b,probability_c"
    assert sum(map(float, lines[1].split(",")[1:])) == pytest.approx(1, abs=1e-5)


def test_predictions_as_json(model, capsys):
    assert main(["predict", str(model), "data.csv", "--probabilities", "--json"]) == 0
    found = said(capsys)
    rows = len(pandas.read_csv("data.csv"))
    assert found["rows"] == rows
    classes, *each = found["predictions"].values()
    assert len(classes) == rows
    np.testing.assert_allclose(np.sum(each, axis=0), 1, atol=1e-6)


def test_a_probability_never_takes_the_place_of_the_class(folder, capsys):
    Path("p.csv").write_text("probability_x,b\nx,1\nz,2\nx,3\nz,1\nx,2\n")
    assert run("train p.csv --target probability_x --out p.npz --epochs 1 --quiet --validation 0") == 0
    assert run("predict p.npz p.csv --probabilities") == 2
    assert "got a model whose target or --id has the name 'probability_x'" in capsys.readouterr().err


def test_the_log_loss_has_no_penalty(folder, capsys):
    """It is scikit-learn's log loss of the probabilities."""
    for name, frame in (("two", cancer()), ("three", iris())):
        frame[::4].to_csv("data.csv", index=False)
        assert run(f"train data.csv --out {name}.npz --epochs 2 --l2 0.5 --seed 0 --quiet") == 0
        assert run(f"evaluate {name}.npz data.csv --json") == 0
        loss = said(capsys)["measured"]["log_loss"]
        assert run(f"predict {name}.npz data.csv --probabilities --out p.csv") == 0
        capsys.readouterr()
        probabilities = pandas.read_csv("p.csv").iloc[:, 1:].astype(np.float32)
        assert loss == pytest.approx(metrics.log_loss(frame["y"][::4], probabilities), rel=1e-4)


NUMBERS = np.c_[np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2]


@pytest.mark.filterwarnings("ignore:The DataFrame has column names of mixed type")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("names", [[0, 1, 2, 3], [0, 1, 2, "y"], [0.5, 1.5, 2.5, 3.5], ["NA", "null", "None", "nan"]])
def test_columns_whose_names_are_numbers_or_seem_to_be_nothing(folder, capsys, suffix, names):
    frame = pandas.DataFrame(NUMBERS, columns=names)
    for name, table in (("data", frame), ("new", frame[names[:3]])):
        table.to_csv(name + suffix, index=False) if suffix == ".csv" else table.to_parquet(name + suffix)
    assert run(f"train data{suffix} --target {names[3]} --out model.npz --epochs 1 --seed 0 --quiet") == 0
    assert run(f"evaluate model.npz data{suffix} --json") == 0
    assert said(capsys)["target"]["name"] == str(names[3])
    assert run(f"predict model.npz new{suffix}") == 0
    assert capsys.readouterr().out.splitlines()[0] == str(names[3])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
@pytest.mark.parametrize(
    "labels", [[2**53, 2**53 + 1, 2**53 + 4], [2**60, 2**60 + 1], ["007", "7", "001"], ["a,b", 'c"d']]
)
def test_predictions_are_the_files_own_labels(folder, capsys, suffix, labels):
    y = (labels * 20)[:40]
    if suffix == ".npz":
        np.savez("data.npz", X=np.arange(40.0)[:, None], y=np.array(y))
    else:
        frame = pandas.DataFrame({"x1": np.arange(40.0), "y": y})
        frame.to_csv("data.csv", index=False) if suffix == ".csv" else frame.to_parquet("data.parquet")
    assert run(f"train data{suffix} --out model.npz --epochs 1 --seed 0 --json") == 0
    assert sorted(said(capsys)["target"]["classes"]) == sorted(map(str, labels))
    assert run(f"predict model.npz data{suffix} --out predictions.csv") == 0
    assert set(pandas.read_csv("predictions.csv", dtype=str)["y"]) <= set(map(str, labels))
    capsys.readouterr()
    assert run(f"predict model.npz data{suffix} --json") == 0
    assert said(capsys)["predictions"]["y"] == list(pandas.read_csv("predictions.csv", dtype=str)["y"])


@pytest.mark.parametrize("link", ["", "symbolic", "hard", "./"])
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train data.npz --out {data.npz}", "--out: expected a file other than the data"),
        ("train data.npz --out {data.npz} --resume", "--out: expected a file other than the data"),
        ("train data.png.csv --out new.npz --plot {data.png.csv}", "--plot: expected a file other than the data"),
        ("train data.npz --out {curves.png} --plot curves.png", "--plot: expected a file other than --out"),
        ("predict model.npz data.npz --out {model.npz}", "--out: expected a file other than the model"),
        ("predict model.npz data.npz --out {data.npz}", "--out: expected a file other than the data"),
        ("explain model.txt data.npz --out {model.txt}", "--out: expected a file other than the model"),
        ("explain model.npz data.html.csv --out {data.html.csv}", "--out: expected a file other than the data"),
    ],
)
def test_nothing_is_written_over_what_the_command_reads(folder, capsys, command, message, link):
    """By its own name, by a link's, or by another path."""
    before, name, after = re.split("[{}]", command)
    for file in ("data.npz", "data.png.csv", "data.html.csv", "model.npz", "model.txt", name):
        Path(file).write_text("as it was")
    other = f"other{Path(name).suffix}"
    if link in ("symbolic", "hard"):
        (os.symlink if link == "symbolic" else os.link)(name, other)
        name = other
    elif link:
        name = f"{link}../{folder.name}/{name}"
    assert run(f"{before}{name}{after}") == 2
    assert message in capsys.readouterr().err
    assert {Path(file).read_text() for file in ("data.npz", "data.png.csv", "data.html.csv", "model.npz")} == {
        "as it was"
    }


def test_a_file_that_is_not_there_yet_is_known_by_its_path(folder, capsys):
    os.symlink("none.png", "link.png")
    assert run("train data.csv --out link.png --plot none.png") == 2
    assert "--plot: expected a file other than --out, got 'none.png', which is 'link.png'" in capsys.readouterr().err


def test_nothing_is_written_into_a_folder_of_parquet_files_that_the_command_reads(folder, capsys):
    (folder / "data.parquet").mkdir()
    assert run("train data.parquet --out data.parquet/model.npz") == 2
    assert "--out: expected a file other than the data" in capsys.readouterr().err


def test_a_model_is_a_trainers_and_stays_one(model):
    trainer = Trainer.load(model)
    trainer.save(model)
    assert main(["predict", str(model), "data.csv", "--out", "predictions.csv"]) == 0


def test_a_table_that_is_not_the_networks_is_refused(model, capsys):
    trainer = Trainer([3, 3], loss="cross_entropy")
    trainer._table = Trainer.load(model)._table
    trainer.save("other.npz")
    assert run("predict other.npz data.csv") == 2
    assert "2 inputs and 3 outputs with the loss 'cross_entropy', as the table has, got 3" in capsys.readouterr().err


def test_missing_values_are_filled_if_asked(folder):
    (folder / "data.csv").write_text("size,colour,y\n1,red,0.5\n,red,1.5\n3,,2.5\n")
    assert run("train data.csv --out model.npz --validation 0 --epochs 1 --missing mean --quiet") == 0


OPTIONS = (
    "--hidden 7",
    "--epochs 3",
    "--batch-size 2",
    "--learning-rate 0.5",
    "--optimizer momentum",
    "--activation tanh",
    "--schedule cosine",
    "--dropout 0.4",
    "--l2 0.5",
    "--validation 0.4",
    "--seed 1",
    "--target size",
    "--target size --task numbers",
)


def test_each_option_makes_another_model(model, folder, capsys):
    files = [model.read_bytes()]
    for option in OPTIONS:
        assert run(f"train data.csv --out other.npz --epochs 2 --validation 0 --seed 0 {option} --quiet") == 0
        files.append((folder / "other.npz").read_bytes())
    assert capsys.readouterr().out == ""  # --quiet
    parameters = []
    for data in files:
        (folder / "some.npz").write_bytes(data)
        parameters.append(np.concatenate([view.ravel() for view in Trainer.load(folder / "some.npz").get_weights()]))
    assert len({values.tobytes() for values in parameters}) == 1 + len(OPTIONS)
    assert run("train data.csv --out other.npz --epochs 2 --validation 0 --seed 0") == 0
    assert "parameters" in capsys.readouterr().out


def script_for(shell: str, capsys) -> str:
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", shell])
    assert end.value.code == 0
    return capsys.readouterr().out


TYPED = [
    ("fastbp ev", "evaluate"),
    ("fastbp train --hid", "--hidden"),
    ("fastbp train --o", "--optimizer"),
    ("fastbp predict mod", "model.npz"),
    ("fastbp bench --qu", "--quick"),
]


@pytest.mark.parametrize(("typed", "found"), TYPED)
def test_completion_in_bash(typed, found, model, capsys):
    words = typed.split()
    ask = (
        f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; COMP_LINE='{typed}'; COMP_POINT={len(typed)}\n"
        f"_shtab_fastbp fastbp {words[-1]} {words[-2]}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    )
    command = ["bash", "-c", script_for("bash", capsys) + ask]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found in done.stdout.split()


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here to ask")
@pytest.mark.parametrize(("typed", "found"), TYPED)
def test_completion_in_fish(typed, found, model, capsys):
    command = ["fish", "--no-config", "-c", f"{script_for('fish', capsys)}\ncomplete -C '{typed}'"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found in [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["zsh", "tcsh", "fish"])
def test_completion_names_every_command_and_option(shell, capsys):
    script = script_for(shell, capsys)
    for name in ("train", "predict", "evaluate", "explain", "bench", "info", "optimizer", "weight", "peers", "json"):
        assert re.search(rf"\b{name}\b", script), name


def test_threads_are_the_trainers(model, folder):
    for asked, came in (("2", 2), ("auto", "auto")):
        assert run(f"train data.csv --out other.npz --epochs 1 --validation 0 --threads {asked} --quiet") == 0
        assert Trainer.load("other.npz").n_threads == came
    assert run("train data.csv --out other.npz --threads few --quiet") == 2


def test_resume_goes_on_from_the_model(model, folder, capsys):
    command = "train data.csv --validation 0 --quiet --resume"
    assert run(f"{command} --out parts.npz --epochs 2 --seed 3") == 0
    assert run(f"{command} --out parts.npz --epochs 5 --seed 3") == 0
    assert run("train data.csv --validation 0 --quiet --out whole.npz --epochs 5 --seed 3") == 0
    parts, whole = Trainer.load("parts.npz"), Trainer.load("whole.npz")
    assert parts.history == whole.history
    for a, b in zip(parts.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    Path("other.csv").write_text("size,y\n1,a\n2,b\n3,a\n4,b\n")
    assert run("train other.csv --out parts.npz --resume") == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "to continue this training, use the same columns of the table, or another --out" in err
    assert run(f"{command} --out parts.npz --epochs 5 --seed 3 --l2 1") == 2
    assert "the same l2" in capsys.readouterr().err


@pytest.fixture
def noisy(folder) -> Path:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(120, 6))
    y = (a[:, 0] + rng.normal(size=120) > 0).astype(int)
    pandas.DataFrame(a, columns=list("abcdef")).assign(y=y).to_csv("noisy.csv", index=False)
    return folder


NOISY = "train noisy.csv --seed 1 --learning-rate 0.02 --networks 1 --json"


@pytest.mark.parametrize("schedule", ["step", "exponential", "inverse_scaling"])
def test_more_epochs_go_on_with_the_schedule(noisy, capsys, schedule):
    command = f"{NOISY} --optimizer sgd --schedule {schedule} --resume"
    assert run(f"{command} --out whole.npz --epochs 20") == 0
    assert run(f"{command} --out parts.npz --epochs 8") == 0
    assert run(f"{command} --out parts.npz --epochs 20") == 0
    same_training("parts.npz", "whole.npz")


def same_training(one: str, other: str) -> None:
    a, b = Trainer.load(one), Trainer.load(other)
    assert repr(a.history.to_dict()) == repr(b.history.to_dict())
    for mine, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


class Ends(Callback):
    """Ends a run at an epoch, as a kill or Ctrl-C does in the middle of the next one."""

    def __init__(self, epoch: int, how: type[BaseException]) -> None:
        self.epoch, self.how = epoch, how

    def on_progress(self, trainer, done):
        if trainer.epochs_trained == self.epoch:
            trainer.weights[0][...] += 1  # the next epoch has begun
            raise self.how


class Killed(BaseException):
    pass


@pytest.mark.parametrize("how", [Killed, KeyboardInterrupt])
@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_an_interrupted_training_goes_on_to_the_bit(noisy, capsys, monkeypatch, schedule, how):
    """Also from its first epoch, before there is a file."""
    command = f"{NOISY} --epochs 25 --patience 9 --schedule {schedule} --dropout 0.1 --resume"
    assert run(f"{command} --out whole.npz") == 0
    whole = said(capsys)
    assert whole["epochs"] < 25
    given = Trainer.fit
    for epoch in (0, 3, whole["epochs"] - 1):

        def fit(trainer, *arguments, callbacks, epoch=epoch, **options):
            return given(trainer, *arguments, callbacks=[*callbacks, Ends(epoch, how)], **options)

        monkeypatch.setattr(Trainer, "fit", fit)
        if how is Killed:
            with pytest.raises(Killed):
                run(f"{command} --out parts.npz")
            assert Path("parts.npz").exists() == (epoch > 0)
        else:
            assert run(f"{command} --out parts.npz") == 130
            stopped = said(capsys)
            assert (stopped["epochs"], stopped["interrupted"]) == (epoch, True)
        monkeypatch.setattr(Trainer, "fit", given)
    for _ in range(3):  # once it is over it stays so
        assert run(f"{command} --out parts.npz") == 0
        assert said(capsys) == whole | {"model": "parts.npz"}
        same_training("parts.npz", "whole.npz")


def test_without_patience_a_training_goes_on_from_its_last_weights(noisy, capsys, monkeypatch):
    """Also after a Ctrl-C before the first epoch of what is to come."""
    command = f"{NOISY} --schedule step --validation 0 --resume --learning-rate 3 --optimizer sgd"
    assert run(f"{command} --out whole.npz --epochs 60") == 0
    whole = said(capsys)
    assert run(f"{command} --out parts.npz --epochs 60 --patience 3") == 0
    done = said(capsys)["epochs"]
    assert done < 60
    given, end = Trainer.fit, Ends(done, KeyboardInterrupt)

    def fit(trainer, *arguments, callbacks, **options):
        return given(trainer, *arguments, callbacks=[*callbacks, end], **options)

    monkeypatch.setattr(Trainer, "fit", fit)
    assert run(f"{command} --out parts.npz --epochs 60") == 130
    assert said(capsys)["epochs"] == done
    monkeypatch.setattr(Trainer, "fit", given)
    assert run(f"{command} --out parts.npz --epochs 60") == 0
    assert said(capsys) == whole | {"model": "parts.npz"}
    same_training("parts.npz", "whole.npz")


@pytest.mark.parametrize("task", ["", " --task numbers"])
@pytest.mark.parametrize("ending", ["--patience 6", "--epochs 0", "--epochs 30 --schedule cosine --validation 0"])
def test_what_is_printed_is_measured_of_the_model_that_is_written(noisy, capsys, task, ending):
    assert run(f"{NOISY} --out model.npz {ending}{task}") == 0
    found = said(capsys)
    trainer = Trainer.load("model.npz")
    frame = pandas.read_csv("noisy.csv", dtype=str)
    X, y = tables.training_inputs(trainer._table, frame), tables.targets(trainer._table, frame)
    fraction = 0 if "validation" in ending else 0.2
    rows = split(strata(trainer._table, y), fraction, np.random.default_rng(1))
    for part, numbers in zip(("training", "validation"), rows, strict=True):
        assert (part in found) == (len(numbers) > 0)
        if len(numbers):
            expected = trainer.evaluate(X[numbers], y[numbers], () if task else "log_loss")
            assert found[part]["rows"] == len(numbers)
            if task:
                predicted = tables.answers(trainer._table, trainer.predict(X[numbers]))
                expected["r2"] = metrics.r2_score(frame["y"].astype(int)[numbers], predicted)
            metric = "r2" if task else "log_loss"
            assert found[part]["measured"][metric] == pytest.approx(expected[metric], rel=1e-5)
            if part == "validation" and "patience" in ending:
                assert found["best_epoch"] == 1 + int(np.argmin(trainer.history["val_loss"]))
                assert found["ending"] == "patience"
                assert expected["loss"] == pytest.approx(min(trainer.history["val_loss"]))


def test_what_is_printed_after_ctrl_c_is_of_the_best_epoch_so_far(noisy, capsys, monkeypatch):
    given = Trainer.fit

    def fit(trainer, *arguments, callbacks, **options):
        return given(trainer, *arguments, callbacks=[*callbacks, Ends(3, KeyboardInterrupt)], **options)

    monkeypatch.setattr(Trainer, "fit", fit)
    assert run(f"{NOISY} --out model.npz") == 130
    found = said(capsys)
    assert (found["interrupted"], found["ending"]) == (True, "interrupted")
    trainer = Trainer.load("model.npz")
    assert found["epochs"] == trainer.epochs_trained == 4
    assert found["best_epoch"] == 1 + int(np.nanargmin(trainer.history["val_loss"]))
    assert found["validation"]["measured"]["log_loss"] == pytest.approx(
        np.nanmin(trainer.history["val_loss"]), rel=1e-5
    )
    assert run("info model.npz") == 0
    told = " ".join(capsys.readouterr().out.split())
    best = f"The model has the weights of epoch {found['best_epoch']},"
    assert f"Interrupted after 4 epochs. {best}" in told


def test_patience_ends_training(model, folder, capsys):
    command = "train data.csv --out other.npz --epochs 500 --validation 0 --learning-rate 3 --seed 0 --json"
    assert run(f"{command} --patience 2") == 0
    assert said(capsys)["epochs"] < 500


def test_as_a_process(model):
    done = subprocess.run(
        [sys.executable, "-m", "fastbp", "evaluate", "model.npz", "data.csv", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["rows"] == 6


def test_info(capsys):
    assert main(["info", "--json"]) == 0
    found = said(capsys)
    assert found["register_bytes"] in (16, 32, 64)
    assert found["threads"] >= 1
    assert found["tile"]["rows"] >= 4
    assert found["packages"]["numpy"] == np.__version__
    assert found["processor"]
    assert main(["info"]) == 0
    assert capsys.readouterr().out.startswith("fastbp ")


INFO = """
import sys
from fastbp.__main__ import main
from fastbp._library import store
store._folder_of_package = lambda: "/nowhere"  # where an installation has built them
main(sys.argv[1:])
"""


def test_info_knows_where_the_kernels_are(tmp_path):
    """In an empty cache, and in one with those of one dtype, for this processor level and for another."""
    kind = store.Kind("float32", LEVEL.name)
    folder, data = tmp_path / "cache", kernel_file.packed(store.find(kind), kind.facts)

    def info(*arguments):
        command = [sys.executable, "-c", INFO, "info", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "FASTBP_CACHE_DIR": str(folder)}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path).stdout

    empty = json.loads(info("--json"))
    assert empty["level"] == LEVEL.name
    assert empty["kernels"] == dict.fromkeys(
        ("float32", "float64"), "not built yet; python -m fastbp.warmup builds them"
    )
    assert empty["cache"] == {"folder": str(folder), "writable": True, "trusted": True, "other_files": {}}
    folder.mkdir(0o700)
    mine, other = folder / kind.name_in_cache, folder / kind._replace(level="another").name_in_cache
    mine.write_bytes(data)
    other.write_bytes(data)
    one = json.loads(info("--json"))
    compilers = f"numba {kind.facts['numba']}, llvmlite {kind.facts['llvmlite']}"
    assert one["kernels"]["float32"] == {"from": "cache", "file": str(mine), "built_with": compilers}
    assert one["kernels"]["float64"] == empty["kernels"]["float64"]
    assert list(one["cache"]["other_files"]) == [str(other)]
    assert str(mine) in info()


def test_ctrl_c_keeps_what_was_learnt(model, monkeypatch):
    model.unlink()
    monkeypatch.setattr("fastbp._training.run.Run.go", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["train", "data.csv", "--out", "model.npz", "--validation", "0", "--quiet"]) == 130
    assert Trainer.load(model).history.interrupted


GOOD = "size,colour,y\n1,red,a\n2,blue,b\n"
TRAIN = ("train", "bad.csv", "--out", "bad.npz")
PREDICT = ("predict", "model.npz", "bad.csv")
STRICT = (*PREDICT, "--unknown", "error")


@pytest.mark.parametrize(
    ("text", "command", "message"),
    [
        ("", TRAIN, "bad.csv: the file is empty"),
        ("size,y\n", TRAIN, "bad.csv: expected at least one row, got none"),
        ("1,2\n3,4\n", TRAIN, "bad.csv: expected column names in the first line, got numbers: 1, 2"),
        (GOOD, (*TRAIN, "--target", "z"), "bad.csv: --target: expected a column of the table, one of 'size',"),
        ("b,y\n,2\n,3\n", TRAIN, "bad.csv: column 'b' is left out: it has no values"),
        ("a,y\n1,2\n2,3\n,3\n", (*TRAIN, "--missing", "refuse"), "bad.csv: column 'a' has no value in row 3"),
        ("a,y\n1,2\n4,3\n2,x\n", (*TRAIN, "--task", "numbers"), "column 'y', the target: expected numbers, got 'x';"),
        ("a,y\n1,p\n2,p\n", TRAIN, "bad.csv: column 'y', the target: expected different values, got 'p' in all rows"),
        ("a,y\n1,p\n2,\n", TRAIN, "bad.csv: column 'y', the target: expected different values, got 'p' in all rows"),
        ("a,y,y\n1,2,3\n", TRAIN, "bad.csv: two columns are called 'y', the target; rename one or remove it"),
        ("y\n1\n2\n", TRAIN, "bad.csv: expected a column besides 'y'"),
        ("a,y\n1,2\n1,2,3\n", TRAIN, "bad.csv: line 3: 3 cells, but there are 2 names"),
        ("\x89PNG\udcff\udcfe\n", TRAIN, "bad.csv: expected at least one row, got none"),
        ("a,y\n" + "".join(f"n{i},{i % 2}\n" for i in range(101)), TRAIN, "column 'a' is left out: an identifier or"),
        ("size,colour\n1,green\n", STRICT, "column 'colour' has 'green' in row 1, which is not one of its categories"),
        ("size,colour\nbig,red\n", STRICT, "column 'size' has 'big' in row 1, but a finite number is expected"),
        ("size,colour\nbig,green\n", STRICT, "bad.csv: column 'colour' has 'green' in row 1"),
        ("size\n1\n", PREDICT, "bad.csv: expected a column 'colour', got the columns 'size'"),
        ("size,colour\n1,red\n", ("evaluate", "model.npz", "bad.csv"), "bad.csv: expected a column 'y'"),
        (GOOD, ("predict", "bad.csv", "bad.csv"), "got a file of another type; name the model first"),
        (GOOD, ("predict", "plain.npz", "bad.csv"), "plain.npz: expected a model that `fastbp train` wrote"),
        (GOOD, ("train", "none.csv", "--out", "x.npz"), "none.csv: No such file or directory"),
        (
            GOOD,
            ("train", "bad.xls", "--out", "x.npz"),
            "bad.xls: fastbp doesn't read spreadsheets; save it as CSV UTF-8",
        ),
        (GOOD, (*TRAIN[:-1], "none/x.npz"), "--out: expected a file in an existing folder, got 'none/x.npz'"),
        (GOOD, ("train", "none.csv", "--out", "."), "--out: expected a file or a new name, got '.', which is a folder"),
        (GOOD, (*TRAIN, "--plot", "curves.xyz"), ".webp, got 'curves.xyz'"),
        (GOOD, (*TRAIN, "--plot", "."), "--plot: expected a file or a new name, got '.', which is a folder"),
        (GOOD, (*PREDICT, "--out", "none/x.csv"), "--out: expected a file in an existing folder, got 'none/x.csv'"),
        (GOOD, (*PREDICT, "--out", "."), "--out: expected a file or a new name, got '.', which is a folder"),
        (GOOD, (*TRAIN, "--optimizer", "adm"), "did you mean 'adam'?"),
        (GOOD, (*TRAIN, "--hidden", "8,x"), "expected sizes such as 32,16, got '8,x'; see fastbp train --help"),
        (GOOD, ("learn",), "see fastbp --help"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_for_each_problem(model, capsys, text, command, message):
    Path("bad.csv").write_text(text, errors="surrogateescape")
    Trainer([2, 1]).save("plain.npz")
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert all(line.startswith("fastbp: ") for line in err.splitlines())
    assert message in err


def test_a_divergence_is_said_and_nothing_is_written(model, capsys):
    command = "train data.csv --out other.npz --optimizer sgd --activation exponential --learning-rate 1e30 --epochs 9"
    assert main([*command.split(), "--validation", "0"]) == 1
    assert capsys.readouterr().err.startswith("fastbp: ")
    assert not Path("other.npz").exists()
