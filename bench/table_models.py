"""The models of `make tables-compare`, each as its documentation recommends.

A model takes a task, a split's number as its seed, and its number of threads; it returns probabilities (n, k) or
numbers (n,), and perhaps facts to keep. What it needs is imported first, because an import is nobody's training time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .table_folder import Task

PATIENCE = 50  # trees without a better validation score, after which no more are grown
MOST_TREES = 5000
COVERAGE = 0.9  # of the intervals


class Kind(NamedTuple):
    """A model: what the page calls it, how it is used, and the function that trains it and predicts."""

    title: str
    use: str
    run: Callable[..., np.ndarray | tuple[np.ndarray, dict[str, float]]]
    packages: tuple[str, ...]


def probabilities(model: Any, rows: Any, given: Task) -> np.ndarray:
    """Return (n, k): classes that no row to train on has get 0."""
    P = np.zeros((len(rows), given.n_classes))
    P[:, np.asarray(model.classes_, int)] = model.predict_proba(rows)
    return P


def answer(model: Any, rows: Any, given: Task) -> np.ndarray:
    return probabilities(model, rows, given) if given.n_classes else np.ravel(model.predict(rows))


def coded(given: Task, *, filled: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both parts with pandas' categories, those of the rows to train on; if asked, numbers have no gaps."""
    train, test = given.X.copy(), given.test_X.copy()
    for name in train:
        if name in given.categories:
            train[name] = train[name].astype("category")
            test[name] = pd.Categorical(test[name], categories=train[name].cat.categories)
        elif filled:
            mean = train[name].mean()
            train[name], test[name] = train[name].fillna(mean), test[name].fillna(mean)
    return train, test


def validation(given: Task, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the rows that train, and of the fifth that decides when to stop."""
    from sklearn.model_selection import train_test_split

    y = given.y
    strata = y if given.n_classes and np.bincount(y).min() >= 2 else None
    return train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed, stratify=strata)


def one_hot(given: Task) -> Any:
    """Return what scales numbers, fills their gaps by the mean, and one-hot encodes categories."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = [name for name in given.X if name not in given.categories]
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), given.categories),
        ]
    )


def fastbp(given: Task, seed: int, threads: int, seconds: float) -> tuple[np.ndarray, dict[str, float]]:
    """Return the predictions, and for numbers the share of test targets in the 90 % intervals."""
    from fastbp.tabular import TabularClassifier, TabularRegressor

    kind = TabularClassifier if given.n_classes else TabularRegressor
    model = kind(max_seconds=seconds, n_jobs=threads, random_state=seed).fit(given.X, given.y)
    prediction = answer(model, given.test_X, given)
    if given.n_classes:
        return prediction, {}
    low, high = model.predict_interval(given.test_X, COVERAGE).T
    return prediction, {"covered": float(((low <= given.test_y) & (given.test_y <= high)).mean())}


def linear(given: Task, seed: int, threads: int) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(one_hot(given), LogisticRegression(max_iter=1000) if given.n_classes else Ridge())
    return answer(model.fit(given.X, given.y), given.test_X, given)


def mlp(given: Task, seed: int, threads: int) -> np.ndarray:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if given.n_classes:
        net: Any = MLPClassifier(random_state=seed)
    else:
        net = TransformedTargetRegressor(MLPRegressor(random_state=seed), transformer=StandardScaler())
    model = make_pipeline(one_hot(given), net)
    return answer(model.fit(given.X, given.y), given.test_X, given)


def boosting(given: Task, seed: int, threads: int) -> np.ndarray:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    train, test = coded(given)
    kind = HistGradientBoostingClassifier if given.n_classes else HistGradientBoostingRegressor
    model = kind(random_state=seed, categorical_features="from_dtype")
    return answer(model.fit(train, given.y), test, given)


def catboost(given: Task, seed: int, threads: int, *, stops: bool = False) -> np.ndarray:
    from catboost import CatBoostClassifier, CatBoostRegressor

    def prepared(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.copy()
        for name in given.categories:
            rows[name] = rows[name].astype(object).where(rows[name].notna(), "nan").astype(str)
        return rows

    options: dict[str, Any] = {
        "random_seed": seed,
        "thread_count": threads,
        "cat_features": given.categories,
        "allow_writing_files": False,
        "verbose": 0,
    }
    kind = CatBoostClassifier if given.n_classes else CatBoostRegressor
    train, test = prepared(given.X), prepared(given.test_X)
    if not stops:
        return answer(kind(**options).fit(train, given.y), test, given)
    a, b = validation(given, seed)
    model = kind(**options, iterations=MOST_TREES, od_type="Iter", od_wait=PATIENCE, use_best_model=True)
    model.fit(train.iloc[a], given.y[a], eval_set=(train.iloc[b], given.y[b]))
    return answer(model, test, given)


def catboost_stopped(given: Task, seed: int, threads: int) -> np.ndarray:
    return catboost(given, seed, threads, stops=True)


def lightgbm(given: Task, seed: int, threads: int) -> np.ndarray:
    from lightgbm import LGBMClassifier, LGBMRegressor, early_stopping

    train, test = coded(given)
    a, b = validation(given, seed)
    kind = LGBMClassifier if given.n_classes else LGBMRegressor
    model = kind(n_estimators=MOST_TREES, learning_rate=0.05, random_state=seed, n_jobs=threads, verbose=-1)
    stop = early_stopping(PATIENCE, verbose=False)
    model.fit(train.iloc[a], given.y[a], eval_set=[(train.iloc[b], given.y[b])], callbacks=[stop])
    return answer(model, test, given)


def xgboost(given: Task, seed: int, threads: int) -> np.ndarray:
    from xgboost import XGBClassifier, XGBRegressor

    train, test = coded(given)
    a, b = validation(given, seed)
    kind = XGBClassifier if given.n_classes else XGBRegressor
    model = kind(
        n_estimators=MOST_TREES,
        learning_rate=0.05,
        enable_categorical=True,
        early_stopping_rounds=PATIENCE,
        random_state=seed,
        n_jobs=threads,
    )
    model.fit(train.iloc[a], given.y[a], eval_set=[(train.iloc[b], given.y[b])], verbose=False)
    return answer(model, test, given)


def pytabkit(given: Task, seed: int, threads: int, name: str) -> np.ndarray:
    import pytabkit
    import torch

    torch.set_num_threads(threads)
    train, test = coded(given, filled=True)
    options: dict[str, Any] = {"device": "cpu", "random_state": seed, "n_threads": threads, "verbosity": 0}
    if given.n_classes and name != "RealMLP_TD_S":
        options["val_metric_name"] = "cross_entropy"  # what is measured chooses the epoch
        if name == "RealMLP_TD":
            options["use_ls"] = False  # label smoothing is for accuracy
    model = getattr(pytabkit, f"{name}_{'Classifier' if given.n_classes else 'Regressor'}")(**options)
    return answer(model.fit(train, given.y), test, given)


def realmlp(given: Task, seed: int, threads: int) -> np.ndarray:
    return pytabkit(given, seed, threads, "RealMLP_TD")


def realmlp_small(given: Task, seed: int, threads: int) -> np.ndarray:
    return pytabkit(given, seed, threads, "RealMLP_TD_S")


def tabm(given: Task, seed: int, threads: int) -> np.ndarray:
    return pytabkit(given, seed, threads, "TabM_D")


STOPS = f"a fifth of the rows stops it after {PATIENCE} trees without improvement"
MODELS = {
    "fastbp": Kind("fastbp", "`TabularClassifier` and `TabularRegressor` with `max_seconds`", fastbp, ("fastbp",)),
    "catboost": Kind("CatBoost", "its defaults, native categories", catboost, ("catboost",)),
    "catboost-stopped": Kind("CatBoost, stopped", f"native categories; {STOPS}", catboost_stopped, ("catboost",)),
    "lightgbm": Kind("LightGBM", f"native categories, learning rate 0.05; {STOPS}", lightgbm, ("lightgbm",)),
    "xgboost": Kind("XGBoost", f"native categories, learning rate 0.05; {STOPS}", xgboost, ("xgboost",)),
    "boosting": Kind("HistGradientBoosting", "its defaults, native categories", boosting, ("sklearn",)),
    "realmlp": Kind(
        "RealMLP-TD", "pytabkit; cross-entropy chooses the epoch of classes", realmlp, ("pytabkit", "torch")
    ),
    "realmlp-s": Kind("RealMLP-TD-S", "pytabkit, its defaults", realmlp_small, ("pytabkit", "torch")),
    "tabm": Kind("TabM-D", "pytabkit; cross-entropy chooses the epoch of classes", tabm, ("pytabkit", "torch")),
    "mlp": Kind("scikit-learn's MLP", "standardised, one-hot", mlp, ("sklearn",)),
    "linear": Kind("linear", "logistic or ridge regression, standardised, one-hot", linear, ("sklearn",)),
}
