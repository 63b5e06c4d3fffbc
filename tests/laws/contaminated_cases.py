"""Cases of contaminated normal components."""

import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxem.families import ContaminatedNormal, ContaminatedNormalParams, GaussianPrior
from jaxem.reference import covariance_structures
from laws.family_case import FamilyCase, N, arrays
from laws.gaussian_cases import LETTERS, dense, stored

_TURNS = 1500


def contaminated_normal(covariance):
    rng, d = np.random.default_rng(5), 2
    wide = np.where(rng.random(N) < 0.25, 6.0, 1.0)
    x = 1.0 + wide[:, None] * (rng.normal(size=(N, d)) @ np.array([[1.0, 0.4], [0.0, 0.8]]))
    letters = LETTERS.get(covariance, covariance)
    a = rng.normal(size=(3, d, d))
    matrices = covariance_structures.estimate(
        letters, np.array([1.0, 2.0, 1.5]), a @ np.swapaxes(a, 1, 2) + np.eye(d)
    )
    params = ContaminatedNormalParams(
        *arrays(1.0 + 0.5 * rng.normal(size=(3, d)), stored(covariance, matrices)),
        *arrays([0.7, 0.9, 0.6], [20.0, 9.0, 50.0]),
    )

    def parts(x, means, matrices, shares, inflations):
        """log densities of regular rows and of others, with their shares, (k, n) both."""
        each = zip(means, matrices, shares, inflations, strict=True)
        normal = scipy.stats.multivariate_normal.logpdf
        found = [
            (np.log(a) + normal(x, m, c), np.log(1 - a) + normal(x, m, h * c))
            for m, c, a, h in each
        ]
        return np.moveaxis(np.array(found), 1, 0)

    def log_prob(params, x):
        matrices = dense(covariance, params.gaussian)
        own = np.asarray(params.means), matrices, *map(np.asarray, params[2:])
        return np.logaddexp(*parts(np.asarray(x), *own))

    def mle(r, x):
        """By EM: shares and inflations, then means and covariances."""
        x = np.asarray(x)
        means, matrices = np.ones((3, d)), np.stack([np.eye(d)] * 3)
        shares, inflations = np.full(3, 0.8), np.full(3, 10.0)
        for _ in range(_TURNS):
            regular, others = parts(x, means, matrices, shares, inflations)
            v = 1 / (1 + np.exp(others - regular))
            away = x[None] - means[:, None]
            distance = np.einsum("kni,kij,knj->kn", away, np.linalg.inv(matrices), away)
            shares = (r * v).sum(1) / r.sum(1)
            b = r * (1 - v)
            inflations = (b * distance).sum(1) / (d * b.sum(1))
            w = r * v + b / inflations[:, None]
            means = np.einsum("kn,ni->ki", w, x) / w.sum(1)[:, None]
            away = x[None] - means[:, None]
            scatter = np.einsum("kn,kni,knj->kij", w, away, away)
            matrices = covariance_structures.estimate(letters, r.sum(1), scatter)
        return ContaminatedNormalParams(means, stored(covariance, matrices), shares, inflations)

    return FamilyCase(
        ContaminatedNormal(covariance), params, jnp.asarray(x), log_prob, mle,
        GaussianPrior(np.ones(d), 0.7, d + 3.0, 1.5, 0.2),
        shared=ContaminatedNormalParams(False, False, False, False),
        n_steps=250, digits=1e-7,
    )  # fmt: skip


CONTAMINATED_CASES = {
    "contaminated_normal": lambda: contaminated_normal("full"),
}
