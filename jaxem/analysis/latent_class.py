"""What a latent class analysis reports: classes, item responses, and the fit to the table.

entropy R^2 = 1 - sum_n sum_k -p[n, k] log p[n, k] / (n log k)                    (Ramaswamy 1993)
G^2 = 2 sum_c O[c] log(O[c] / E[c]),   chi^2 = sum_c (O[c] - E[c])^2 / E[c]        (Goodman 1974)

over the cells c of the table of all response patterns, O observed and E expected counts.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.analysis.predict import log_prob, n_free_parameters, smoothed
from jaxem.core import remarks, text_tables
from jaxem.core.contracts import Model, Params
from jaxem.core.dataset import as_dataset
from jaxem.core.inputs import waits
from jaxem.core.rows import observed_weight
from jaxem.families import Bernoulli, BernoulliParams, Categorical


class LatentClasses(NamedTuple):
    """sizes (k,) of the classes, estimated; counts (k,), rows by their most probable class.

    items: for each column (k, c), the probability of each level in each class.
    entropy_r2: 1 where every row's class is certain, 0 where nothing is known.
    g2, chi2, degrees_of_freedom: against the saturated table; NaN where rows have missing cells, or
        covariates, with which there is no table.
    p_g2, p_chi2: their tail probabilities; NaN where no degrees of freedom are left.
    levels: what the categories of columns are called, by the column; else 0, 1, ...
    names: what the classes are called, by the model; None: by numbers.
    n_parameters, n_cells: a model of more parameters than cells less 1 is not identified.
    """

    sizes: np.ndarray
    counts: np.ndarray
    items: tuple[np.ndarray, ...]
    columns: tuple[str, ...]
    entropy_r2: float
    g2: float
    chi2: float
    degrees_of_freedom: int
    p_g2: float
    p_chi2: float
    n_parameters: int
    n_cells: int
    levels: Mapping[str, Sequence[str]] = {}
    names: tuple[str, ...] | None = None

    def __str__(self) -> str:
        rows = [
            ("class", *(self.names or map(str, range(len(self.sizes))))),
            ("size", *(f"{size:.4f}" for size in self.sizes)),
            ("rows", *(f"{count:g}" for count in self.counts)),
        ]
        for name, table in zip(self.columns, self.items, strict=True):
            called = self.levels.get(name, range(table.shape[1]))
            for level, shares in zip(called, table.T, strict=True):
                rows.append((f"{name} = {level}", *(f"{p:.4f}" for p in shares)))
        lines = text_tables.lines(rows)
        lines.append(f"entropy R^2 {self.entropy_r2:.4f}")
        if not math.isnan(self.g2):
            lines.append(
                f"G^2 {self.g2:.4f} (p {self.p_g2:.4f}), chi^2 {self.chi2:.4f} "
                f"(p {self.p_chi2:.4f}), {self.degrees_of_freedom} degrees of freedom"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


@waits
def latent_classes(
    model: Model,
    params: Params,
    x: Any,
    *,
    sample_weight: Any = None,
    columns: Any = None,
    levels: Any = None,
    fixed: Any = None,
) -> LatentClasses:
    """The report of a latent class analysis: a mixture of `Categorical` or `Bernoulli` columns.

    The degrees of freedom are poLCA's, min(n, cells - 1) - parameters. fixed: those that were
    known, as `fit` takes them. columns: what they are called, in place of the names of a frame.
    levels: what their categories are called, {"smoker": ("no", "yes")}.
    Errors: ValueError for a model of another family.
    Warning: UserWarning when the model has more parameters than the table has cells less 1.
    """
    family: Any = getattr(model, "family", None)
    if not isinstance(family, Categorical | Bernoulli):
        raise ValueError(f"model is {model!r}; give a mixture of Categorical or Bernoulli columns")
    given = as_dataset(model, x, sample_weight)
    params = model.as_params(params, given.rows)
    data = np.asarray(given.rows.x, np.float64)
    weight = np.asarray(observed_weight(given.rows), np.float64)
    items = _items(params.components)
    n_cells = math.prod(table.shape[1] for table in items)
    n_parameters = int(n_free_parameters(model, params, fixed))
    if n_parameters > n_cells - 1:
        remarks.warn(
            f"the model has {n_parameters} parameters, the table of response patterns {n_cells} "
            "cells: it is not identified; take fewer classes or more columns"
        )
    posterior = np.asarray(smoothed(given, params), np.float64)
    k = posterior.shape[1]
    logs = np.log(np.where(posterior > 0, posterior, 1.0))
    total = weight.sum()
    disorder = -(weight[:, None] * posterior * logs).sum() / (total * math.log(k)) if k > 1 else 0.0
    g2 = chi2 = math.nan
    if not model.n_covariates:
        g2, chi2 = _table_fit(model, params, data, weight)
    free = int(min(round(total), n_cells - 1)) - n_parameters
    return LatentClasses(
        sizes=np.asarray(params.weights, np.float64),
        counts=np.bincount(posterior.argmax(1), weight, k),
        items=items,
        columns=tuple(columns or (given.names or _plain(items))[: len(items)]),
        entropy_r2=1 - disorder,
        g2=g2,
        chi2=chi2,
        degrees_of_freedom=free,
        p_g2=_tail(g2, free),
        p_chi2=_tail(chi2, free),
        n_parameters=n_parameters,
        n_cells=n_cells,
        levels=levels or {},
        names=model.names,
    )


def _plain(items: tuple[np.ndarray, ...]) -> tuple[str, ...]:
    """Names of columns that have none."""
    return tuple(f"x{j}" for j in range(len(items)))


def _items(components: Any) -> tuple[np.ndarray, ...]:
    """For each column, (k, c) probabilities of its levels."""
    if isinstance(components, BernoulliParams):
        ones = np.asarray(components.probabilities, np.float64).T
        return tuple(np.stack([1 - p, p], axis=1) for p in ones)
    return tuple(np.asarray(table, np.float64) for table in components.probabilities)


def _table_fit(
    model: Model, params: Params, data: np.ndarray, weight: np.ndarray
) -> tuple[float, float]:
    """-> (G^2, chi^2) of the patterns; the cells without rows add what is expected of them."""
    if np.isnan(data[weight > 0]).any():
        return math.nan, math.nan
    patterns, which = np.unique(data, axis=0, return_inverse=True)
    observed = np.bincount(which.ravel(), weight)
    patterns, observed = patterns[observed > 0], observed[observed > 0]
    expected = observed.sum() * np.exp(np.asarray(log_prob(model, params, patterns), np.float64))
    g2 = 2 * float((observed * np.log(observed / expected)).sum())
    chi2 = float(((observed - expected) ** 2 / expected).sum())
    return g2, chi2 + float(observed.sum() - expected.sum())


def _tail(statistic: float, degrees: int) -> float:
    """P(chi^2 with these degrees of freedom > statistic)."""
    if degrees <= 0 or math.isnan(statistic):
        return math.nan
    return float(jax.scipy.special.gammaincc(degrees / 2, statistic / 2))
