"""sin 2πu and cos 2πu against NumPy in the next wider precision."""

from __future__ import annotations

import numpy as np
import pytest

from fastbp._kernels.graph import turns
from fastbp._kernels.llvm import lanes, load, store
from tests._kernels.compiled import kernel
from tests._kernels.test_elementary import OWN_ERROR, WIDER

LARGEST = {"float32": 2.0**20, "float64": 2.0**49}


@kernel
def run(u, sine, cosine, cosine_alone):
    for i in range(0, u.size, lanes(u, 1)):
        s, c = turns.sine_and_cosine_of_turns(load(u, i, 1))
        store(sine, i, s)
        store(cosine, i, c)
        store(cosine_alone, i, turns.cosine_of_turns(load(u, i, 1)))


def waves(u) -> tuple[np.ndarray, np.ndarray]:
    padded = np.pad(u, (0, -u.size % 64))
    sine, cosine, alone = (np.empty_like(padded) for _ in range(3))
    run(padded, sine, cosine, alone)
    assert np.array_equal(cosine, alone, equal_nan=True)
    return sine[: u.size], cosine[: u.size]


def numbers(dtype) -> np.ndarray:
    rng, largest = np.random.default_rng(3), LARGEST[np.dtype(dtype).name]
    near_zeros = (0.25 + np.exp(-rng.uniform(1, 30, 2000)), -0.5 - np.exp(-rng.uniform(1, 30, 2000)))
    small = rng.choice([-1, 1], 2000) * np.exp(-rng.uniform(1, 60, 2000))
    return np.concatenate([rng.uniform(-1, 1, 9000), rng.uniform(-largest, largest, 2000), *near_zeros, small]).astype(
        dtype
    )


def exact(function, u) -> np.ndarray:
    """The function of the nearest whole number's distance, from an end of the quarter turn where it is precise."""
    wide = WIDER[u.dtype]
    x = u.astype(wide)
    x = x - np.round(2 * x) / 2
    odd = np.round(2 * u.astype(wide)) % 2 == 1
    tau = 2 * np.arccos(wide(-1))
    value = np.sin(tau * x) if function == "sine" else np.where(np.abs(x) < 0.125, np.cos(tau * x), 0)
    if function == "cosine":
        value = np.where(np.abs(x) < 0.125, value, np.sin(tau * (0.25 - np.abs(x))))
    return np.where(odd, -value, value)


@pytest.mark.parametrize("dtype", WIDER, ids=str)
def test_errors_are_at_most_3_ulp(dtype):
    u = numbers(dtype)
    for found, function in zip(waves(u), ("sine", "cosine"), strict=True):
        expected = exact(function, u)
        ulp = np.spacing(np.abs(expected).astype(dtype)).astype(WIDER[np.dtype(dtype)])
        assert (np.abs(found - expected) / ulp).max() <= 3 + OWN_ERROR[np.dtype(dtype)]


@pytest.mark.parametrize("dtype", WIDER, ids=str)
def test_quarters_are_exact_and_what_has_no_angle_is_nan(dtype):
    sine, cosine = waves(np.arange(-8, 9, dtype=dtype) / 4)
    assert np.array_equal(np.abs(cosine), np.arange(-8, 9) % 2 == 0)
    assert np.array_equal(np.abs(sine[::2]), np.zeros(9))
    assert np.isnan(waves(np.array([np.inf, -np.inf, np.nan], dtype))).all()
    huge = waves(np.array([1e30, -1e30], dtype))
    assert np.array_equal(huge, [[0, 0], [1, 1]])
