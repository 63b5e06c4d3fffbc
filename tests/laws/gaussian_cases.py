"""A case of each structure of covariances, of one column, and of rows with holes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxem.families import Gaussian, GaussianParams, GaussianPrior
from jaxem.reference import covariance_structures, missing_cells
from laws.family_case import FamilyCase

STRUCTURES = ("full", "tied", "diag", "spherical")
LINKED = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")
LETTERS = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}
SHARED = ("tied", "EEI", "EII")
N_STEPS = {"EVE": 5, "VVE": 5}  # where the M-step is a search


def dense(covariance, params):
    """The k covariance matrices of any structure."""
    k, d = params.means.shape
    c = np.asarray(params.covariances)
    if covariance in SHARED:
        c = np.stack([c] * k)
    if c.ndim == 3:
        return c
    return np.stack([v * np.eye(d) for v in c])


def stored(covariance, matrices):
    """What a structure keeps of the k covariance matrices that are of it."""
    one = matrices[0] if covariance in SHARED else matrices
    letters = LETTERS.get(covariance, covariance)
    if letters[2] != "I":
        return one
    variances = one.diagonal(0, -2, -1)
    return variances[..., 0] if letters[1] == "I" else variances


def gaussian(covariance, d, seed=0, n=48):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)
    means = rng.normal(size=(3, d))
    a = rng.normal(size=(3, d, d))
    matrices = a @ np.swapaxes(a, 1, 2) + np.eye(d)
    letters = LETTERS.get(covariance, covariance)
    matrices = covariance_structures.estimate(letters, np.array([1.0, 2.0, 1.5]), matrices)
    covariances = stored(covariance, matrices)

    def log_prob(params, x):
        each = zip(params.means, dense(covariance, params), strict=True)
        return np.stack(
            [
                scipy.stats.multivariate_normal(np.asarray(m), c).logpdf(np.asarray(x))
                for m, c in each
            ]
        )

    def mle(r, x):
        x = np.asarray(x)
        means = np.stack([np.average(x, axis=0, weights=w) for w in r])
        scatter = np.stack([w.sum() * np.atleast_2d(np.cov(x.T, aweights=w, bias=True)) for w in r])
        matrices = covariance_structures.estimate(letters, r.sum(1), scatter)
        return GaussianParams(means, stored(covariance, matrices))

    prior = GaussianPrior(
        mean=rng.normal(size=d), mean_precision=0.7, degrees_of_freedom=d + 3.0, scale=1.5,
        reg_covar=0.2,
    )  # fmt: skip
    params = GaussianParams(jnp.asarray(means), jnp.asarray(covariances))
    return FamilyCase(
        Gaussian(covariance), params, jnp.asarray(x), log_prob, mle, prior,
        shared=GaussianParams(False, covariance in SHARED),
        linked=GaussianParams(False, covariance in LINKED),
        n_steps=N_STEPS.get(covariance, 1),
    )  # fmt: skip


def with_holes(covariance):
    """EM, as a hole is hidden: the fixed point of M-steps is the estimate."""
    whole, rng = gaussian(covariance, 3), np.random.default_rng(7)
    values = np.where(rng.random((48, 3)) < 0.15, np.nan, np.asarray(whole.x))
    family, n_steps = Gaussian(covariance, missing=True), 40

    def log_prob(params, x):
        each = list(zip(np.asarray(params.means), dense(covariance, params), strict=True))
        rows = np.asarray(x.values)
        return np.array(
            [[missing_cells.row(own, m, c).log_density for own in rows] for m, c in each]
        )

    def mle(r, x):
        means, matrices = np.zeros((3, 3)), np.stack([np.eye(3)] * 3)
        for _ in range(n_steps):
            filled = [
                [missing_cells.row(own, m, c) for own in np.asarray(x.values)]
                for m, c in zip(means, matrices, strict=True)
            ]
            first = np.array([[own.mean for own in rows] for rows in filled])
            means = np.einsum("kn,kni->ki", r, first) / r.sum(1)[:, None]
            residuals = first - means[:, None]
            second = np.einsum("kn,kni,knj->kij", r, residuals, residuals)
            left = np.array([[own.covariance for own in rows] for rows in filled])
            second = second + np.einsum("kn,knij->kij", r, left)
            letters = LETTERS.get(covariance, covariance)
            matrices = covariance_structures.estimate(letters, r.sum(1), second)
        return GaussianParams(means, stored(covariance, matrices))

    x = jax.tree.map(jnp.asarray, family.read(values))
    return whole._replace(family=family, x=x, log_prob=log_prob, mle=mle, n_steps=n_steps)


GAUSSIAN_CASES = {
    **{covariance: partial(gaussian, covariance, 4) for covariance in STRUCTURES},
    **{covariance: partial(gaussian, covariance, 4) for covariance in ("EII", "EEI", *LINKED)},
    "VVE_of_three_columns": partial(gaussian, "VVE", 3),
    "EVE_of_one_column": partial(gaussian, "EVE", 1),
    "VEV_of_one_column": partial(gaussian, "VEV", 1),
    "full_of_one_column": partial(gaussian, "full", 1),
    "tied_of_one_column": partial(gaussian, "tied", 1),
    "full_with_holes": partial(with_holes, "full"),
    "diag_with_holes": partial(with_holes, "diag"),
    "VEV_with_holes": partial(with_holes, "VEV"),
    "EEI_with_holes": partial(with_holes, "EEI"),
}
