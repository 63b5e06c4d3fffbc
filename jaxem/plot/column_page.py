"""The panels of families that have no ellipses: a column each, or the answers of latent classes."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxem.analysis.latent_class import latent_classes
from jaxem.core.capabilities import describing
from jaxem.core.contracts import Family
from jaxem.core.dataset import as_given
from jaxem.families import Bernoulli, Categorical, Product
from jaxem.models import Mixture, MixtureParams
from jaxem.plot import columns, evaluate, regressions
from jaxem.plot.curves import density
from jaxem.plot.profiles import item_profiles

_MOST = 3  # panels beside each other


class Panel(NamedTuple):
    """A column, how far the components are apart in it, and what draws it on axes."""

    column: str
    separation: float
    draw: Callable[..., Any]


def drawable(family: Family) -> bool:
    """Whether some of its columns can be drawn alone."""
    own = [of for _, of in family.blocks] if isinstance(family, Product) else [family]
    return any(columns.kind(of, 2) is not None for of in own)


def panels(model: Any, params: Any, x: Any, names: Any, levels: Any) -> list[Panel]:
    """Those of latent classes, or the columns that separate the components most, as they come."""
    d = len(describing.column_names(model.family, params.components))
    names = None if names is None else names[:d]
    if isinstance(model.family, Categorical | Bernoulli):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes that are not identified: they are drawn
            report = latent_classes(model, params, x, columns=names, levels=levels)
        return [Panel("answers", 0.0, partial(item_profiles, report))]
    if model.n_covariates:  # their densities are those of a row with the mean weights
        model, params = regressions.without_covariates(model, params)
        x = as_given(x)[0]
    if names is None:
        names = describing.column_names(model.family, params.components)
    found = [panel for part in _parts(model, params, x, names) for panel in _of_part(*part)]
    apart = np.argsort([-panel.separation for panel in found], kind="stable")
    return [found[i] for i in sorted(apart[:_MOST])]


def _parts(
    model: Any, params: Any, x: Any, names: Sequence[str]
) -> list[tuple[Any, Any, Any, Sequence[str]]]:
    """A mixture of each family of a product, its parameters, rows and columns."""
    if not isinstance(model.family, Product):
        return [(model, params, x, names)]
    found, first = [], 0
    for name, of in model.family.blocks:
        own = params.components[name]
        last = first + len(describing.column_names(of, own))
        part = MixtureParams(params.weights, own)
        found.append((Mixture(of, model.n_components), part, x[name], names[first:last]))
        first = last
    return found


def _of_part(model: Any, params: Any, x: Any, names: Sequence[str]) -> list[Panel]:
    d = len(names)
    if columns.kind(model.family, d) is None:
        return []
    given = evaluate.given(model, params, x).params
    shares = evaluate.shares(model, given)
    drawn = []
    for j, name in enumerate(names):
        moments = columns.column(model.family, shares, given.components, j, d).moments()
        apart = 0.0 if moments is None else float(separation(shares, *moments)[()])
        draw = partial(density, model, params, x, column=j, names=names)
        drawn.append(Panel(name, apart, draw))
    return drawn


def separation(weights: Any, means: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """The variance of each column between components relative to that within."""
    weights = np.asarray(weights, float)
    between = weights @ (means - weights @ means) ** 2
    within = weights @ deviations**2
    ratio = np.divide(between, within, out=np.full_like(between, np.inf), where=within > 0)
    return np.where(between > 0, ratio, 0.0)
