"""Cases of t components: a number of each component and one of all, with and without volumes."""

import jax.numpy as jnp
import numpy as np
import scipy.stats
from scipy import optimize, special

from jaxem.families import GaussianPrior, StudentT, StudentTParams
from jaxem.reference import covariance_structures
from laws.family_case import FamilyCase, N, arrays
from laws.gaussian_cases import LETTERS, SHARED, dense, stored

_NU = {None: np.array([2.0, 5.0, 1.5]), "shared": np.full(3, 2.5)}
_TURNS = 400


def student_t(covariance, degrees_of_freedom):
    rng, d = np.random.default_rng(3), 2
    centre = np.array([2.0, -1.0])
    x = rng.standard_t(1.8, size=(N, d)) @ np.array([[1.0, 0.4], [0.0, 0.8]]) + centre
    a = rng.normal(size=(3, d, d))
    matrices = a @ np.swapaxes(a, 1, 2) + np.eye(d)
    letters = LETTERS.get(covariance, covariance)
    matrices = covariance_structures.estimate(letters, np.array([1.0, 2.0, 1.5]), matrices)
    params = StudentTParams(
        *arrays(
            centre + 0.5 * rng.normal(size=(3, d)),
            stored(covariance, matrices),
            _NU[degrees_of_freedom],
        )
    )

    def log_prob(params, x):
        each = zip(params.means, _dense(covariance, params), params[2], strict=True)
        return np.stack(
            [scipy.stats.multivariate_t(np.asarray(m), c, float(v)).logpdf(x) for m, c, v in each]
        )

    def mle(r, x):
        """Means and scales by weights, the degrees of freedom by their own likelihood, in turn."""
        x, nu = np.asarray(x), _NU[degrees_of_freedom]
        means, matrices = np.zeros((3, d)), np.stack([np.eye(d)] * 3)
        for _ in range(_TURNS):
            away = x[None] - means[:, None]
            distance = np.einsum("kni,kij,knj->kn", away, np.linalg.inv(matrices), away)
            nu = _degrees_of_freedom(r, distance, d, degrees_of_freedom == "shared")
            weights = r * (nu[:, None] + d) / (nu[:, None] + distance)
            means = np.einsum("kn,ni->ki", weights, x) / weights.sum(1)[:, None]
            away = x[None] - means[:, None]
            scatter = np.einsum("kn,kni,knj->kij", weights, away, away)
            matrices = covariance_structures.estimate(letters, r.sum(1), scatter)
        return StudentTParams(means, stored(covariance, matrices), nu)

    together, one = covariance in SHARED, degrees_of_freedom == "shared"
    return FamilyCase(
        StudentT(covariance, degrees_of_freedom), params, jnp.asarray(x), log_prob, mle,
        GaussianPrior(np.ones(d), 0.7, d + 3.0, 1.5, 0.2),
        shared=StudentTParams(False, together, one),
        n_steps=80, digits=1e-7,
    )  # fmt: skip


def _dense(covariance, params):
    return dense(covariance, params.gaussian)


def _degrees_of_freedom(r, distance, d, shared):
    """Where the slope of the log-likelihood is 0."""

    def slope(nu, r, distance):
        terms = special.digamma((nu + d) / 2) - special.digamma(nu / 2) + np.log(nu)
        terms = terms - np.log(nu + distance) + 1 - (nu + d) / (nu + distance)
        return np.sum(r * terms)

    each = [(r, distance)] if shared else zip(r, distance, strict=True)
    found = [optimize.brentq(slope, 0.05, 1e4, args=own, xtol=1e-13, rtol=1e-14) for own in each]
    return np.resize(found, 3)


STUDENT_T_CASES = {
    "student_t": lambda: student_t("full", None),
    "student_t_of_one_shape": lambda: student_t("EEI", "shared"),
}
