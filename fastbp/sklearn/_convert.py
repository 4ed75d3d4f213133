"""Conversion of the estimators of fastbp.sklearn to scikit-learn's and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .._checks import wrong

COMMON = ("classes_", "_label_binarizer", "n_features_in_", "feature_names_in_", "n_outputs_", "n_layers_", "n_iter_")
COURSE = ("t_", "loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")
OURS = ("_no_improvement_count", "out_activation_", "_random_state")


def copy_fit(source: Any, target: Any) -> None:
    """Copy the fitted attributes that both estimators have, except the weights."""
    for name in (*COMMON, *COURSE, *OURS):
        if name in vars(source):
            value = vars(source)[name]
            setattr(target, name, list(value) if isinstance(value, list) else value)  # each may append to its own


def to_sklearn(estimator: Any) -> Any:
    """Return scikit-learn's estimator of the same name, with the parameters that both have.

    Its coefs_ and intercepts_ are views of this estimator's weights, not copies. Parameters that scikit-learn lacks are
    left out if they don't affect predictions.

    Raises
    ------
    ValueError
        If scikit-learn lacks the activation or the loss.
    """
    kind = MLPClassifier if is_classifier(estimator) else MLPRegressor
    names = kind().get_params()
    parameters = {name: value for name, value in estimator.get_params().items() if name in names}
    fitted = "trainer_" in vars(estimator)
    if fitted:
        parameters |= what_predicts(estimator, parameters)
    parameters["activation"] = one_activation(parameters["activation"])
    if parameters.get("loss", "squared_error") not in ("squared_error", "poisson"):
        raise ValueError(f"scikit-learn has no loss={parameters['loss']!r}; it has 'squared_error' and 'poisson'.")
    model = kind(**parameters)
    if fitted:
        copy_fit(estimator, model)
        model.coefs_, model.intercepts_ = list(estimator.coefs_), list(estimator.intercepts_)
        # a scikit-learn fit with early stopping ends by restoring these; here they are the current weights
        model._best_coefs, model._best_intercepts = model.coefs_, model.intercepts_
    return model


def what_predicts(estimator: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of the last fit, because the user may have changed them since."""
    trainer, fitted = estimator.trainer_, {}
    if trainer.activation:
        fitted["activation"] = trainer.activation
    if "loss" in parameters:
        fitted["loss"] = trainer.loss
    sizes = estimator._hidden_layer_sizes()
    if list(trainer.layer_sizes[1:-1]) != sizes:
        fitted["hidden_layer_sizes"] = trainer.layer_sizes[1:-1]
    return fitted


def one_activation(activation: Any) -> str:
    """Return scikit-learn's name of the activation, which must be the same in all hidden layers."""
    names = {activation} if isinstance(activation, str) else set(activation) or {"identity"}
    names = {"logistic" if name == "sigmoid" else name for name in names}
    if len(names) > 1 or not names <= {"identity", "logistic", "tanh", "relu"}:
        raise ValueError(
            f"scikit-learn has no activation={activation!r}; it has 'identity', 'logistic', 'tanh' and 'relu', one for "
            "all hidden layers."
        )
    return names.pop()


def adopted(model: Any, classifier: Any, regressor: Any) -> Any:
    """Return our classifier or regressor for an estimator of scikit-learn."""
    if not isinstance(model, MLPClassifier | MLPRegressor):
        raise TypeError(f"model: expected scikit-learn's MLPClassifier or MLPRegressor, got {type(model).__name__}")
    estimator = (classifier if is_classifier(model) else regressor)(**model.get_params())
    if "coefs_" in vars(model):
        copy_fit(model, estimator)
        sizes = [len(model.coefs_[0]), *(len(b) for b in model.intercepts_)]
        weights, biases = [np.asarray(coefs).T for coefs in model.coefs_], list(model.intercepts_)
        estimator._build(sizes, weights, biases, dtype=np.result_type(*model.coefs_))
        if estimator.out_activation_ != model.out_activation_:
            fitted = f"a loss for the output activation {model.out_activation_!r}, as in the fitted model"
            raise ValueError(wrong("model", fitted, f"loss={model.loss!r}"))
    return estimator
