"""What to write instead of an argument that doesn't exist."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

SYNONYMS = {  # names in Keras, PyTorch and scikit-learn, and short ones → fastbp's
    **dict.fromkeys(("lr", "eta", "rate", "learning_rate_init", "eta0"), "learning_rate"),
    **dict.fromkeys(("lr_schedule", "scheduler", "learning_rate_schedule"), "schedule"),
    **dict.fromkeys(("epoch", "n_epochs", "num_epochs", "nb_epoch", "max_epochs", "max_iter", "n_iter"), "epochs"),
    **dict.fromkeys(("hidden_layer_sizes", "hidden_sizes", "layers", "sizes", "units", "hidden"), "layer_sizes"),
    **dict.fromkeys(("batch", "batchsize", "bs", "minibatch_size", "mini_batch_size"), "batch_size"),
    **dict.fromkeys(("solver", "opt", "algorithm"), "optimizer"),
    **dict.fromkeys(("random_state", "random_seed", "rng"), "seed"),
    **dict.fromkeys(("criterion", "loss_fn", "loss_function", "cost", "objective"), "loss"),
    **dict.fromkeys(("activations", "hidden_activation", "act"), "activation"),
    **dict.fromkeys(("out_activation", "final_activation"), "output_activation"),
    **dict.fromkeys(("init", "initialization", "kernel_initializer", "weights_init"), "initializer"),
    **dict.fromkeys(("bias", "fit_intercept"), "use_bias"),
    **dict.fromkeys(("dropout_rate", "p_drop"), "dropout"),
    **dict.fromkeys(("alpha", "l2_penalty", "weight_penalty"), "l2"),
    **dict.fromkeys(("clipnorm", "max_grad_norm", "grad_clip"), "clip_norm"),
    **dict.fromkeys(("param_groups", "lr_mult", "learning_rate_factors"), "parameter_groups"),
    **dict.fromkeys(("freeze", "trainable", "frozen_layers"), "frozen"),
    **dict.fromkeys(("ema_decay", "ema_momentum", "use_ema", "polyak"), "ema"),
    **dict.fromkeys(("drop_remainder", "droplast"), "drop_last"),
    **dict.fromkeys(("standardise", "normalize", "normalise", "scale"), "standardize"),
    **dict.fromkeys(("threads", "num_threads", "nthreads"), "n_threads"),
    **dict.fromkeys(("validation_fraction", "val_split", "validation_size", "test_size"), "validation_split"),
    **dict.fromkeys(("val_data", "eval_set", "validation", "eval_data"), "validation_data"),
    **dict.fromkeys(("sample_weights", "weights"), "sample_weight"),
    "class_weights": "class_weight",
    "metric": "metrics",
    "callback": "callbacks",
    "steps_per_epoch": "steps",
    **dict.fromkeys(("max_time", "time_limit", "timeout"), "max_seconds"),
    **dict.fromkeys(("early_stopping", "patience", "n_iter_no_change"), "callbacks"),
}
PLACES: dict[str, Callable[..., Any]] = {}  # the functions that `suggests` decorates, by the name in messages


def suggests(place: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: the function's TypeError about an unknown keyword says what to write instead.

    Parameters
    ----------
    place : how a message calls the function, such as "fit"
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        PLACES[place] = function
        function.__qualname__ = function.__qualname__.replace("Answers.", "Trainer.")  # what users call it

        @functools.wraps(function)
        def call(*args: P.args, **options: P.kwargs) -> R:
            try:
                return function(*args, **options)
            except TypeError as error:
                inside = error.__traceback__ is not None and error.__traceback__.tb_next is not None
                unknown = [] if inside else [name for name in options if name not in names_of(function)]
                if not unknown:
                    raise
                message = f"{error}{suggestion(place, unknown[0])}"
            raise TypeError(message)

        return call

    return decorate


def names_of(function: Callable[..., Any]) -> list[str]:
    """Return the names of a function's arguments."""
    return [name for name in inspect.signature(function).parameters if name != "self"]


def suggestion(place: str, name: str) -> str:
    """Return what a message says about an unknown argument: another name, or the function that it belongs to."""
    from difflib import get_close_matches

    meant = SYNONYMS.get(name.lower(), name)
    for where in (place, *PLACES):  # this one first
        names = names_of(PLACES[where])
        if meant in names:
            return _told(place, where, name, meant)
        if where == place and (near := get_close_matches(name.lower(), names, 1, 0.85)):
            return _told(place, where, name, near[0])
    for where in (place, *PLACES):
        if near := get_close_matches(name.lower(), names_of(PLACES[where]), 1, 0.75):
            return _told(place, where, name, near[0])
    return f"; its arguments are {', '.join(names_of(PLACES[place]))}"


def _told(place: str, where: str, name: str, meant: str) -> str:
    if where == place:
        example = "=EarlyStopping(patience=5)" if meant == "callbacks" and name != "callback" else ""
        example = "=[n_inputs, …, n_outputs]" if meant == "layer_sizes" else example
        return f"; did you mean {meant}{example}?"
    return f"; write {where}(…, {meant}=…)"
