"""What factor analysers say of rows and columns: scores, communalities, and rotated loadings."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxem.analysis.in_pieces import in_pieces
from jaxem.core import checks, emissions
from jaxem.core.contracts import Model, Params, Prepared, Rows
from jaxem.core.dataset import as_dataset
from jaxem.core.inputs import waits
from jaxem.families.factor_analyzer import FactorAnalyzer
from jaxem.fitting import sizes
from jaxem.fitting.blocks import map_rows
from jaxem.fitting.effort import program

_TURNS = 1000  # at most
_SETTLED = 1e-12  # relative rise of the sum of singular values


@waits
@in_pieces
def factor_scores(model: Model, params: Params, x: Any, lengths: Any = None) -> Any:
    """E[z | x[n], component k], (n, k, q): the factors of each row, were it of each component.

    inv(I + L' inv(psi) L) L' inv(psi) (x - m), Thomson's regression scores. For an HMM arranged as
    the sequences are; lengths: of those of a batch.
    Errors: ValueError for a family that has no factors.
    """
    _of(model)
    data = as_dataset(model, x, lengths=lengths)
    rows = data.filled
    size = sizes.block_size(model, rows)
    found = _scores(model, model.as_params(params, data.rows), rows, size)
    return data.arrange(sizes.beside(rows, data.unfilled(found)))


@program("model", "block_size")
def _scores(model: Model, params: Params, rows: Rows, block_size: int) -> Array:
    prepared: Prepared = model.of_family(model.prepare(params, None))

    def of_block(rows: Rows) -> Array:
        scores = model.family.evaluate(prepared, emissions.family_rows(model, rows))[1]
        return jnp.reshape(scores, (*scores.shape[:2], *rows.weight.shape))

    return jnp.moveaxis(map_rows(of_block, rows, block_size), (0, 1), (-2, -1))


@waits
def communalities(model: Model, params: Params) -> Float[Array, "k d"]:
    """The share of each column's variance within a component that the factors make, (k, d).

    sum_j L[i, j]^2 / (sum_j L[i, j]^2 + psi[i])
    Errors: ValueError for a family that has no factors.
    """
    family = _of(model)
    means, loadings, stored = model.of_family(model.as_params(params, None))
    common = jnp.sum(loadings**2, axis=2)
    return common / (common + family.kind.each(stored, *means.shape))


@waits
def varimax(model: Model, params: Params) -> Params:
    """The same density with loadings that are easier to read: large or near 0.

    L R of each component, with the rotation R that maximises sum_j var_i((L R)[i, j]^2 / h[i]^2),
    h[i]^2 = sum_j L[i, j]^2; factors in the order of their sums of squares, with signs by which
    their loadings add up to more than 0. Densities and communalities stay.
    Errors: ValueError for a family that has no factors.
    Source: Kaiser (1958), Psychometrika 23, 187-200.
    """
    _of(model)
    params = model.as_params(params, None)
    own = model.of_family(params)
    if not checks.is_concrete(own.loadings):
        raise ValueError("the loadings have no values yet; rotate them outside jit, vmap and grad")
    turned = np.stack([_varimax(one) for one in np.asarray(own.loadings, np.float64)])
    loadings = jax.device_put(turned.astype(own.loadings.dtype))
    return model.with_family(params, own._replace(loadings=loadings))


class Oblique(NamedTuple):
    """loadings (k, d, q), the pattern; correlations (k, q, q) of the factors; both of a component.

    The covariance is loadings correlations loadings' + diag(uniquenesses).
    """

    loadings: np.ndarray
    correlations: np.ndarray


@waits
def promax(model: Model, params: Params, power: float = 4.0) -> Oblique:
    """Loadings of factors that may be correlated, which are easier to read than those of `varimax`.

    P = V U,  U = argmin |V U - V abs(V)^(power - 1)|^2, columns scaled by diag(inv(U' U)) = 1;
    correlations inv(U' U)

    with V the loadings by `varimax`. Uniquenesses and communalities stay.
    power: from 1, with which P is V; the larger, the more correlated the factors.
    Errors: ValueError for a family that has no factors, and for a power below 1.
    Source: Hendrickson and White (1964), Brit. J. Statist. Psychol. 17, 65-70, as R's promax.
    """
    if not power >= 1:
        raise ValueError(f"power is {power!r}; give a number from 1")
    turned = np.asarray(model.of_family(varimax(model, params)).loadings, np.float64)
    each = [_promax(one, power) for one in turned]
    return Oblique(*map(np.stack, zip(*each, strict=True)))


def _promax(loadings: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    target = loadings * np.abs(loadings) ** (power - 1)
    turn = np.linalg.lstsq(loadings, target, rcond=None)[0]
    inner = np.linalg.pinv(turn.T @ turn)
    scale = np.sqrt(np.diagonal(inner))
    return loadings @ (turn * scale), inner / np.outer(scale, scale)


def _varimax(loadings: np.ndarray) -> np.ndarray:
    """By singular values, in turns that never lower the criterion."""
    d, q = loadings.shape
    length = np.sqrt((loadings**2).sum(1, keepdims=True))
    unit = loadings / np.where(length > 0, length, 1)
    rotation, before = np.eye(q), 0.0
    for _ in range(_TURNS):
        turned = unit @ rotation
        slope = unit.T @ (turned**3 - turned * (turned**2).sum(0) / d)
        left, values, right = np.linalg.svd(slope)
        rotation, now = left @ right, values.sum()
        if now <= before * (1 + _SETTLED):
            break
        before = now
    found = loadings @ rotation
    found = found[:, np.argsort(-(found**2).sum(0), kind="stable")]
    return found * np.where(found.sum(0) < 0, -1, 1)


def _of(model: Model) -> FactorAnalyzer:
    """The family; ValueError where it has no factors."""
    if not isinstance(model.family, FactorAnalyzer):
        raise ValueError(f"{model.family!r} has no factors: they are of families.FactorAnalyzer")
    return model.family
