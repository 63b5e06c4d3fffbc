"""Sums of an E-step, seen from other parameters: as if they were collected there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxem.families import (
    Bernoulli,
    Categorical,
    Density,
    Exponential,
    FactorAnalyzer,
    Gamma,
    Gaussian,
    LinearRegression,
    Multinomial,
    Poisson,
    PoissonRegression,
    Product,
    StudentT,
    VonMises,
)
from laws.compare import close

N, K = 60, 2
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)) + 3.0
HOLED = np.where(RNG.random((N, 3)) < 0.2, np.nan, X)
COUNTS = RNG.poisson(4.0, (N, 2)).astype(float)
CASES = {
    **{name: (Gaussian(name), X) for name in ("full", "tied", "diag", "spherical")},
    "five columns": (Gaussian("full"), RNG.normal(size=(N, 5)) + 9.0),
    "poisson": (Poisson(), COUNTS),
    "gamma": (Gamma(), RNG.gamma(3.0, 2.0, (N, 2))),
    "von Mises": (VonMises(), RNG.vonmises(1.0, 2.0, (N, 2))),
    "multinomial": (Multinomial(), COUNTS + 1),
    "exponential": (Exponential(), RNG.exponential(2.0, (N, 2))),
    "bernoulli": (Bernoulli(), (X > 3).astype(float)),
    "categorical": (Categorical(4), RNG.integers(0, 4, (N, 2)).astype(float)),
    "regression": (LinearRegression(), (X, X @ [1.0, 2.0, -1.0] + RNG.normal(size=N))),
    "far regressors": (LinearRegression(), (X + 1e7, X[:, 0] + RNG.normal(size=N))),
    "product": (Product({"a": Gaussian("full"), "b": Poisson()}), {"a": X, "b": COUNTS}),
}


MEASURED_FROM_NOTHING = ("exponential", "bernoulli", "categorical", "poisson", "multinomial")


def params_of(family, x, rng):
    """Those of a random half of the rows for each component."""
    weight = [jnp.asarray(rng.integers(0, 2, N).astype(float)) for _ in range(K)]
    each = [family.fit_one_component(x, own, 1) for own in weight]
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *each)


@pytest.mark.slow(but=("product",))
@pytest.mark.parametrize("name", CASES)
def test_recentred_sums_are_those_collected_anew(name):
    family, data = CASES[name]
    x = jax.tree.map(jnp.asarray, family.read(data))
    if name == "far regressors":
        x = jax.tree.map(jnp.asarray, family.measured(family.read(data), None))
    old, new = (params_of(family, x, np.random.default_rng(seed)) for seed in (1, 2))
    if name == "tied":
        old, new = (p._replace(covariances=p.covariances[:3]) for p in (old, new))
    r = jnp.asarray(np.random.default_rng(3).dirichlet(np.ones(K), N).T)

    def collected(params):
        prepared = family.prepare(params, None)
        _, cache = family.evaluate(prepared, x)
        sums = family.statistics(prepared, x, cache, r)
        return family.finalize_statistics(prepared, sums)

    there = jnp.ones(K, bool)
    moved = family.recentre(collected(old), old, new)
    expected = family.m_step(new, collected(new), None, there)
    close(family.m_step(new, moved, None, there), expected, rtol=1e-8, atol=1e-10)
    if name not in MEASURED_FROM_NOTHING:
        left = family.m_step(new, collected(old), None, there)
        differ = [float(jnp.max(jnp.abs(a - b))) for a, b in zip(
            jax.tree.leaves(left), jax.tree.leaves(expected), strict=True)]  # fmt: skip
        assert max(differ) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("family", [StudentT("full", 3), StudentT("EEI", "shared"), StudentT(),
                                    FactorAnalyzer(2)], ids=repr)  # fmt: skip
def test_recentred_sums_lead_to_the_same_estimate(family):
    """Where the E-step hides more than labels, what it said of that stays."""
    x, there = jnp.asarray(X), jnp.ones(K, bool)
    old = family.fit_one_component(x, jnp.ones(N), K)
    new = old._replace(means=old.means + jnp.array([[1.0, -2.0, 0.5], [3.0, 0.0, 1.0]]))
    r = jnp.asarray(np.random.default_rng(3).dirichlet(np.ones(K), N).T)
    prepared = family.prepare(old, None)
    sums = family.statistics(prepared, x, family.evaluate(prepared, x)[1], r)
    expected = family.m_step(old, sums, None, there)
    moved = family.recentre(sums, old, new)
    close(family.m_step(new, moved, None, there)[:2], expected[:2], rtol=1e-8, atol=1e-10)
    if isinstance(family, StudentT) and family.degrees_of_freedom is None:
        # Of an old E-step no more is taken than EM's own step, which is the same from anywhere.
        own = (family.m_step(at, moved, None, there) for at in
               (new, new._replace(degrees_of_freedom=3 * new.degrees_of_freedom)))  # fmt: skip
        close(*(found.degrees_of_freedom for found in own), rtol=1e-6)


@pytest.mark.parametrize(
    "family",
    [PoissonRegression(), Density(lambda p, x: -((x - p) ** 2), lambda x, w: jnp.mean(x))],
    ids=["regression", "density"],
)
def test_derivatives_are_of_their_parameters_alone(family):
    with pytest.raises(ValueError, match="collect them anew"):
        family.recentre(None, None, None)
