"""What depends on other columns: responses on regressors, weights on covariates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes

from jaxem.analysis import concomitants
from jaxem.analysis.predict import smoothed
from jaxem.core import tables
from jaxem.core.capabilities import describing
from jaxem.core.contracts import Params
from jaxem.core.dataset import as_dataset, as_given
from jaxem.families import LinearRegression, LogisticRegression
from jaxem.families.generalized_regression import GeneralizedRegression
from jaxem.models import Mixture
from jaxem.plot import evaluate, points, style

_GRID = 200
_SPREAD = 0.04  # of answers 0 and 1, which would lie on each other
_KINDS = (LinearRegression, GeneralizedRegression)


def regression(
    model: Any,
    params: Params,
    x: Any,
    *,
    regressor: int | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The response against one regressor: the rows, and what each component expects of it.

    E[y | X, k] is a line b[k]' (1, X), a probability or a rate, with the other regressors at their
    means; what these explain is taken off the responses of linear regressions. The band of a line
    is one scale of the errors on either side. A point has the colours of the components mixed by
    its responsibilities; answers 0 and 1 are spread a little.
    regressor: counted from 0; None: the one that responses depend on most. names: of the regressors
    and, last, of the response.
    Errors: ValueError for a model that is no mixture of regressions, and where x, params, regressor
    or names disagree.
    """
    if not is_regression(model):
        raise ValueError(f"{model!r} is no mixture of regressions; overview draws what it has")
    ax = style.axes(ax)
    params, table = evaluate.given(model, params, x)
    n, d = table.shape
    place = telling(model, params, table)[0] if regressor is None else regressor
    j = evaluate.column_index(place, d - 1)
    labels = column_names(model, params, x, names)
    some = evaluate.some(n)
    shares = responsibilities(model, params, x)[some]
    X, y = table[some, :-1], table[some, -1]
    center = table[:, :-1].mean(axis=0)
    points.mixed(ax, np.stack([X[:, j], _seen(model, params, X, y, shares, center, j)], axis=1),
                 shares, model.n_components)  # fmt: skip
    grid = np.repeat(center[None], _GRID, axis=0)
    grid[:, j] = np.linspace(X[:, j].min(), X[:, j].max(), _GRID)
    _draw_expected(ax, model, params, grid[:, j], expected(model, params, grid))
    beside = "others at their means" if d > 2 else ""
    style.note(ax, [beside, style.left_out(len(some), n, "rows")])
    ax.set(xlabel=labels[j], ylabel=labels[-1])
    style.legend(ax)
    return ax


def concomitant_weights(
    model: Any,
    params: Params,
    Z: Any,
    *,
    column: int = 0,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The weights of the components against one covariate, the others at their means.

    w[k](z) = exp(b[k]' (1, z)) / sum_j exp(b[j]' (1, z)); strokes below are the rows.
    Z: (n, p), the covariates of the rows. names: of the covariates.
    Errors: ValueError for a model without concomitants, and where Z, params, column or names
    disagree.
    """
    z = np.asarray(tables.table(as_given(Z), "Z"), float)
    j = evaluate.column_index(column, z.shape[1])
    called = style.column_names(names or _covariates(z.shape[1]), None, z.shape[1])
    grid = np.repeat(z.mean(axis=0)[None], _GRID, axis=0)
    grid[:, j] = np.linspace(z[:, j].min(), z[:, j].max(), _GRID)
    with evaluate.precision(params):
        weights = np.asarray(concomitants.concomitant_weights(model, params, grid), float)
    ax = style.axes(ax)
    words = style.words(model)
    mean = evaluate.shares(*without_covariates(model, params))
    labels = style.component_labels(mean, np.zeros(len(mean), bool), words)
    for i in style.live(mean):
        ax.plot(grid[:, j], weights[:, i], color=style.colour(i), label=labels[i])
    if model.n_beside:
        ax.plot(grid[:, j], weights[:, -1], color=style.NOISE, label="noise")
    rows = z[evaluate.some(len(z)), j]
    ax.plot(rows, np.full(len(rows), -0.02), "|", color="0.6", markersize=4)
    style.note(ax, ["others at their means" if z.shape[1] > 1 else ""])
    ax.set(xlabel=called[j], ylabel="weight", ylim=(-0.05, 1.03))
    style.legend(ax)
    return ax


def is_regression(model: Any) -> bool:
    return isinstance(model, Mixture) and isinstance(model.family, _KINDS)


def column_names(model: Any, params: Params, x: Any, names: Sequence[str] | None) -> list[str]:
    """Of the regressors and the response: as given, of the frames, or by numbers."""
    own = describing.column_names(model.family, params.components)
    found = describing.given_names(model, as_given(x)) if names is None else tuple(names)
    return style.column_names(own if found is None else found[: len(own)], None, len(own))


def telling(model: Any, params: Params, table: np.ndarray) -> list[int]:
    """The regressors by sum_k w[k] (b[k, j] s[j])^2, s their standard deviations; largest first."""
    slopes = np.asarray(params.components.coefficients, float)[:, int(model.family.intercept) :]
    moved = np.asarray(params.weights, float) @ (slopes * table[:, :-1].std(axis=0)) ** 2
    return np.argsort(-moved, kind="stable").tolist()


def responsibilities(model: Any, params: Params, x: Any) -> np.ndarray:
    """Of the rows, (n, k), and of noise after them."""
    with evaluate.precision(params):
        return np.asarray(smoothed(as_dataset(model, x), params), float)


def expected(model: Any, params: Params, X: np.ndarray) -> np.ndarray:
    """E[y | X, k], (n, k)."""
    b, family = np.asarray(params.components.coefficients, float), model.family
    U = np.column_stack([np.ones(len(X)), X]) if family.intercept else X
    eta = U @ b.T
    if isinstance(family, LinearRegression):
        return eta
    with evaluate.precision(params):
        mean, _ = family.mean_and_variance(jax.numpy.asarray(eta, params.weights.dtype))
        return np.asarray(mean, float)


def without_covariates(model: Any, params: Params) -> tuple[Any, Params]:
    """The mixture with the mean weights for every row, and its parameters, as NumPy arrays."""
    params = jax.tree.map(np.asarray, params)
    plain = replace(model, concomitants=0)
    fields = plain.params_type._fields
    return plain, plain.params_type(*(getattr(params, name) for name in fields))


def _covariates(p: int) -> list[str]:
    return ["covariate"] if p == 1 else [f"covariate {j}" for j in range(p)]


def _seen(
    model: Any, params: Params, X: np.ndarray, y: np.ndarray, shares: np.ndarray,
    center: np.ndarray, j: int,
) -> np.ndarray:  # fmt: skip
    """The responses as they are drawn."""
    if isinstance(model.family, LogisticRegression):
        return y + np.random.default_rng(0).uniform(-_SPREAD, _SPREAD, len(y))
    if not isinstance(model.family, LinearRegression):
        return y
    alone = np.repeat(center[None], len(X), axis=0)
    alone[:, j] = X[:, j]
    of_others = expected(model, params, X) - expected(model, params, alone)
    return y - (shares * of_others).sum(axis=1)


def _draw_expected(
    ax: Axes, model: Any, params: Params, grid: np.ndarray, means: np.ndarray
) -> None:
    weights = np.asarray(params.weights, float)
    labels = style.component_labels(weights, np.zeros(len(weights), bool), style.words(model))
    for i in style.live(weights):
        ax.plot(grid, means[:, i], color=style.colour(i), linewidth=2, label=labels[i])
        if isinstance(model.family, LinearRegression):
            scale = float(params.components.scales[i])
            band = means[:, i] - scale, means[:, i] + scale
            ax.fill_between(grid, *band, color=style.colour(i), alpha=0.13, linewidth=0)
    style.mention_others(ax, labels, weights, style.words(model))
