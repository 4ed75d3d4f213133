"""Every peer does the same work, and every asv benchmark runs. No test asserts a time."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from bench import (
    compare,
    kernels,
    many,
    memory,
    prediction,
    sklearn_speed,
    small_calls,
    startup,
    streaming,
    toolkit,
    training,
    workloads,
)
from fastbp import reference
from fastbp.benchmark import peers
from fastbp.benchmark.workloads import ADAM_ETA, BETA_1, BETA_2, DECAY, TINY, Workload

SIZES, BATCH, ROWS = (5, 7, 3), 4, 12
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}

# Other packages may warn.
pytestmark = pytest.mark.filterwarnings("ignore")


def skip_unless_installed(peer):
    if peers.missing(peer):
        pytest.skip(f"{peer} is not installed")


def compiled_nightly(peer):
    """torch.compile takes half a minute."""
    return pytest.param(peer, marks=pytest.mark.nightly) if peer == "torch.compile" else peer


WORKLOADS = {
    "plain": Workload("training", SIZES, BATCH),
    "one sample": Workload("training", SIZES, 1),
    "tanh, Adam": Workload("training", SIZES, BATCH, activation="tanh", output="identity", optimizer="adam"),
    "mish, AdamW": Workload("training", SIZES, BATCH, activation="mish", output="identity", optimizer="adamw"),
    "calls": Workload("calls", SIZES, BATCH, activation="relu", output="identity", optimizer="adam"),
}


def trained_reference(work, X, y, *, in_scikit_learn):
    """The weights and biases of the reference after two runs. scikit-learn's `fit` forgets Adam's moments."""
    weights, biases = ([p.astype(float) for p in arrays] for arrays in workloads.parameters(work.sizes, X.dtype))
    output = "identity" if in_scikit_learn else work.output
    activations = [work.activation] * (len(work.sizes) - 2) + [output]
    options = {"learning_rate": workloads.ETA, "batch_size": work.rows}
    if work.optimizer != "sgd":
        options |= {"learning_rate": ADAM_ETA, "optimizer": "adam", "beta_1": BETA_1, "beta_2": BETA_2, "epsilon": TINY}
        options |= {"weight_decay": DECAY if work.optimizer == "adamw" else 0.0}
    state = {}
    for _ in range(2):
        if in_scikit_learn and work.kind == "training":
            state = {}
        for _ in range(workloads.EPOCHS):
            reference.train_epoch(
                weights, biases, activations, X.astype(float), y.astype(float), state=state, **options
            )
    return weights, biases


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("peer", [compiled_nightly(peer) for peer in peers.TRAINING])
def test_a_peer_trains_as_the_reference_does(peer, name, dtype):
    """Both train for five epochs twice, from the same weights."""
    skip_unless_installed(peer)
    work = WORKLOADS[name]
    if not peers.can(peer, work):
        pytest.skip(f"{peer} can't do this")
    X, y = workloads.uniform(ROWS, SIZES[0], dtype), workloads.uniform(ROWS, SIZES[-1], dtype, seed=1)
    expected = trained_reference(work, X, y, in_scikit_learn=peer == "scikit-learn")
    run, parameters = peers.TRAINING[peer](work, X, y, 1)
    run()
    run()
    tolerance = TOLERANCE[dtype] / 10
    if peer == "FANN":
        tolerance = max(tolerance, 1e-8)  # its learning rate is a float32
    elif peer == "scikit-learn" and work.optimizer == "adam":
        tolerance = 1e-4  # it adds ε to the root before the correction, which matters for small gradients
    for got, truths in zip(parameters(), expected, strict=True):
        for value, truth in zip(got, truths, strict=True):
            assert value.dtype == dtype
            np.testing.assert_allclose(value, truth, rtol=0, atol=tolerance)


@pytest.mark.parametrize("peer", many.PEERS)
def test_a_peer_trains_many_networks_as_the_reference_does(peer):
    build, package = many.PEERS[peer]
    pytest.importorskip(package)
    X, y = workloads.uniform(ROWS, SIZES[0]), workloads.uniform(ROWS, SIZES[-1], seed=1)
    run, parameters = build(SIZES, BATCH, X, y, 3, 1)
    run()
    run()
    got = parameters()
    for i in range(3):
        weights, biases = ([v[i].astype(float) for v in values] for values in many.stacked_parameters(SIZES, 3))
        for _ in range(2 * workloads.EPOCHS):
            reference.train_epoch(
                weights,
                biases,
                ["sigmoid"] * 2,
                X.astype(float),
                y.astype(float),
                learning_rate=workloads.ETA,
                batch_size=BATCH,
            )
        for values, expected in zip(got, (weights, biases), strict=True):
            for value, truth in zip(values, expected, strict=True):
                np.testing.assert_allclose(value[i], truth, rtol=0, atol=TOLERANCE["float32"] / 10)


@pytest.mark.parametrize("rows", [1, 9])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("peer", peers.PREDICTION)
def test_a_peer_predicts_as_the_reference_does(peer, dtype, rows):
    skip_unless_installed(peer)
    X = workloads.uniform(rows, SIZES[0], dtype)
    output = "identity" if peer == "scikit-learn" else "sigmoid"
    _, a = reference.forward(*workloads.parameters(SIZES, dtype), ["sigmoid", output], X)
    got = peers.PREDICTION[peer](Workload("prediction", SIZES, rows), 1, dtype)(X)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, a[-1], rtol=TOLERANCE[dtype])


def cases():
    """Return (class, name, parameters) of each benchmark, with its first parameters and, nightly, with others."""
    for module in (
        training,
        prediction,
        small_calls,
        memory,
        kernels,
        many,
        startup,
        toolkit,
        sklearn_speed,
        streaming,
    ):
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                choices = list(product(*getattr(kind, "params", ())))
                names = [n for n in dir(kind) if n.startswith(("track_", "time_", "peakmem_", "timeraw_"))]
                for name in names:
                    for chosen in dict.fromkeys((choices[0], choices[len(choices) // 2])):
                        marks = () if chosen == choices[0] else pytest.mark.nightly
                        yield pytest.param(kind, name, chosen, id=f"{kind.__name__}-{name}-{chosen}", marks=marks)


@pytest.mark.parametrize(("kind", "name", "chosen"), list(cases()))
def test_asv_benchmarks_run(kind, name, chosen):
    """Benchmarks that asv would skip, because this commit lacks something, fail here."""
    benchmark = kind()
    try:
        if hasattr(benchmark, "setup"):
            benchmark.setup(*chosen)
        value = getattr(benchmark, name)(*chosen)
    except NotImplementedError as error:
        if "in this commit" in str(error):
            raise
        pytest.skip(str(error))  # a package or a second processor is missing
    if name.startswith("track_"):
        assert math.isfinite(value)
        assert value >= 0
        assert getattr(getattr(kind, name), "unit", None) or kind.unit
    elif name.startswith("timeraw_"):
        for code in (value,) if isinstance(value, str) else value:
            compile(code, name, "exec")


@pytest.mark.parametrize("source", streaming.SOURCES)
def test_a_stream_trains_as_arrays_do(source, monkeypatch, tmp_path):
    monkeypatch.setattr(streaming, "BYTES", 1 << 20)
    losses = []
    for each in ("arrays", source):
        try:
            losses.append(streaming.fit("64-32-10, 32", each, 1, str(tmp_path))()["loss"])
        except NotImplementedError as error:
            pytest.skip(str(error))
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)


def test_tables_go_between_the_marks(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- compare -->\nold\n<!-- /compare -->\nb\n")
    names = ["fastbp", "slow", "absent"]
    results = {"4-8-3, 16": {"fastbp": (2.0, 1), "slow": (8.0, 2)}, "2-2-1, 4": {"fastbp": (4.0, 1), "slow": (4.0, 1)}}
    lines = compare.table(results, names, "sizes, batch")
    compare.write_between(lines, readme, compare.MARKS)
    text = readme.read_text()
    assert text.startswith("a\n<!-- compare -->\n\n| sizes, batch |")
    assert text.endswith("\n\n<!-- /compare -->\nb\n")
    assert "old" not in text
    assert "| 4-8-3, 16 | **2** | 8 | – | **4.00** |" in text
    assert "| geometric mean | | | | **2.00** | | |" in text


def test_a_rare_peer_has_a_line_below_the_table():
    results = {"3-5-1, 1": {"fastbp": (50.0, 1), "FANN": (150.0, 1)}}
    lines = compare.table(results, ["fastbp", "FANN"], "sizes, batch")
    assert lines[0] == "| sizes, batch | fastbp | × best peer | GFLOP/s | % of peak |"
    assert lines[-1] == "FANN takes 150 ns for 3-5-1 with batch 1."
    short = compare.short_table(results, "sizes, batch")
    assert short[2] == "| 3-5-1, 1 | **50** | 150 | FANN | **3.00** |"


def test_a_sentence_sums_up_the_table():
    results = {name: {"fastbp": (2.0, 1), "NumPy": (ns, 1)} for name, ns in (("4-8-3, 16", 8.0), ("2-2-1, 4", 2.0))}
    assert " ".join(compare.summary(results)) == (
        "On average over 2 benchmarks, fastbp trains **2.00×** as fast as the fastest of JAX, PyTorch, scikit-learn, "
        "NumPy and FANN (4.00× for 4-8-3 with batch 16, 1.00× for 2-2-1 with batch 4)."
    )


def test_rows_of_the_tables_are_workloads():
    for row in compare.DEFAULT:
        work = compare.asked(row)
        assert peers.can("fastbp", work)
        assert peers.can("NumPy", work)
    assert compare.asked("5-4-3, 2") == Workload("training", (5, 4, 3), 2)
    assert compare.asked("1024-1024-1024-10, many rows").rows == 4096


def test_workloads_are_whole_batches():
    """The peers rely on whole batches."""
    for row in [*compare.TRAININGS, *compare.OTHER]:
        _, sizes, batch, *_ = compare.asked(row)
        assert workloads.samples(sizes, batch) % batch == 0
