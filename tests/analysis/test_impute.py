"""Holes filled, and columns given others: against row by row formulas, densities and draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.families import (
    Bernoulli,
    BernoulliParams,
    Categorical,
    CategoricalParams,
    Gaussian,
    GaussianParams,
    LinearRegression,
    Multinomial,
    Poisson,
    PoissonParams,
    Product,
    VonMises,
    VonMisesParams,
)
from jaxem.reference import missing_cells as reference

K, D = 3, 4
STRUCTURES = ("full", "tied", "diag", "spherical")
WEIGHTS = np.array([0.2, 0.5, 0.3])


def gaussian(structure):
    rng = np.random.default_rng(5)
    a = rng.normal(size=(K, D, 2 * D))
    full = a @ a.transpose(0, 2, 1) / D
    covariances = {
        "full": full,
        "tied": full[0],
        "diag": full.diagonal(axis1=1, axis2=2),
        "spherical": np.array([1.0, 2.0, 3.0]),
    }[structure]
    return GaussianParams(rng.normal(size=(K, D)) * 2, covariances)


def matrices(structure, covariances):
    if structure == "full":
        return covariances
    if structure == "tied":
        return np.broadcast_to(covariances, (K, D, D))
    return np.array([np.eye(D) * own for own in covariances])


def holed(x, share=0.4):
    x = np.array(x, float)
    x[np.random.default_rng(1).random(x.shape) < share] = np.nan
    x[0] = np.nan
    return x


@pytest.mark.parametrize("structure", STRUCTURES)
def test_expected_cells_are_those_of_the_formulas(structure):
    components = gaussian(structure)
    params = jaxem.MixtureParams(WEIGHTS, components)
    x = holed(np.random.default_rng(2).normal(size=(40, D)) * 2)
    full = matrices(structure, components.covariances)
    shares = reference.e_step(x, WEIGHTS, components.means, full).responsibilities
    expected = np.array([
        sum(shares[i, j] * reference.row(x[i], components.means[j], full[j]).mean for j in range(K))
        for i in range(len(x))
    ])  # fmt: skip
    for missing in (True, False):  # a model of whole rows fills holes too
        model = jaxem.Mixture(Gaussian(structure, missing=missing), K)
        filled = jaxem.impute(model, params, x)
        np.testing.assert_allclose(filled, expected, rtol=1e-10, atol=1e-10)
        seen = ~np.isnan(x)
        np.testing.assert_array_equal(np.asarray(filled)[seen], x[seen])
    inside = jax.jit(lambda x: jaxem.impute(model, params, x))(x)
    np.testing.assert_allclose(inside, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow(but=("tied",))
@pytest.mark.parametrize("structure", ["full", "tied", "diag"])
def test_draws_have_the_conditional_law(structure):
    """One row many times: means and covariances of its draws, mixed over the components."""
    components = gaussian(structure)
    model = jaxem.Mixture(Gaussian(structure), K)
    row = np.array([0.5, np.nan, -1.0, np.nan])
    x, n = np.tile(row, (500, 1)), 40
    params = jaxem.MixtureParams(WEIGHTS, components)
    draws = jaxem.impute(model, params, x, key=jax.random.key(3), n_draws=n)
    assert draws.shape == (n, 500, D)
    np.testing.assert_array_equal(np.asarray(draws)[..., [0, 2]], np.tile(row[[0, 2]], (n, 500, 1)))
    full = matrices(structure, components.covariances)
    shares = reference.e_step(row[None], WEIGHTS, components.means, full).responsibilities[0]
    rows = [reference.row(row, components.means[j], full[j]) for j in range(K)]
    mean = sum(s * r.mean for s, r in zip(shares, rows, strict=True))
    second = sum(
        s * (r.covariance + np.outer(r.mean - mean, r.mean - mean))
        for s, r in zip(shares, rows, strict=True)
    )
    lost = np.asarray(draws).reshape(-1, D)[:, [1, 3]]
    spread = second[np.ix_([1, 3], [1, 3])]
    np.testing.assert_allclose(
        lost.mean(0), mean[[1, 3]], atol=5 * np.sqrt(spread.max() / len(lost))
    )
    np.testing.assert_allclose(np.cov(lost.T), spread, atol=0.1 * spread.max())


def mixed():
    rng = np.random.default_rng(8)
    family = Product(
        {
            "size": Gaussian("full", missing=True),
            "kind": Categorical((2, 3)),
            "visits": Poisson(),
            "yes": Bernoulli(),
            "angle": VonMises(),
        }
    )
    p = rng.dirichlet(np.ones(2), K), rng.dirichlet(np.ones(3), K)
    components = {
        "size": gaussian("full"),
        "kind": CategoricalParams(p),
        "visits": PoissonParams(rng.uniform(1, 9, (K, 1))),
        "yes": BernoulliParams(rng.uniform(0.1, 0.9, (K, 2))),
        "angle": VonMisesParams(rng.uniform(-3, 3, (K, 1)), np.full((K, 1), 2.0)),
    }
    return jaxem.Mixture(family, K), jaxem.MixtureParams(WEIGHTS, components)


@pytest.mark.slow
def test_mixed_columns_are_filled_each_in_its_way():
    model, params = mixed()
    whole, _ = jaxem.sample(model, params, jax.random.key(0), 30)
    x = {name: holed(part) for name, part in whole.items()}
    x["kind"] = np.where(np.isnan(x["kind"]), -1, x["kind"]).astype(np.int64)
    filled = jaxem.impute(model, params, x)
    shares = np.asarray(jaxem.predict_proba(model, params, x))
    rates = np.asarray(params.components["visits"].rates)
    gone = np.isnan(x["visits"])
    np.testing.assert_allclose(filled["visits"][gone], (shares @ rates)[gone], rtol=1e-12)
    assert filled["kind"].dtype == np.int64
    for j, p in enumerate(params.components["kind"].probabilities):
        lost = x["kind"][:, j] < 0
        np.testing.assert_array_equal(
            filled["kind"][lost, j], np.argmax(shares @ np.asarray(p), axis=1)[lost]
        )
    assert set(np.unique(filled["yes"])) <= {0.0, 1.0}
    towards = shares @ np.exp(1j * np.asarray(params.components["angle"].directions))
    lost = np.isnan(x["angle"])
    np.testing.assert_allclose(filled["angle"][lost], np.angle(towards)[lost], rtol=1e-9)
    draws = jaxem.impute(model, params, x, key=jax.random.key(1), n_draws=3)
    for name, part in draws.items():
        seen = ~np.isnan(x[name]) if name != "kind" else x[name] >= 0
        assert part.shape == (3, *x[name].shape)
        for own in part:
            np.testing.assert_array_equal(np.asarray(own)[seen], x[name][seen])
    assert np.all(np.asarray(draws["visits"]) == np.floor(draws["visits"]))
    assert not np.all(draws["yes"][0] == draws["yes"][1])


@pytest.mark.slow
def test_a_chain_fills_by_its_neighbours():
    """A step of holes alone gets the means of its smoothed states."""
    model = jaxem.HMM(Gaussian("diag", missing=True), 2)
    emissions = GaussianParams(np.array([[0.0, 0.0], [5.0, 5.0]]), np.ones((2, 2)))
    params = jaxem.HMMParams(np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]]), emissions)
    x = np.array(jaxem.sample(model, params, jax.random.key(0), 12)[0])
    x[3], x[7, 1] = np.nan, np.nan
    smoothed = np.asarray(jaxem.smooth(model, params, x))
    filled = jaxem.impute(model, params, x)
    np.testing.assert_allclose(filled[3], smoothed[3] @ emissions.means, rtol=1e-12)
    np.testing.assert_allclose(filled[7, 1], smoothed[7] @ emissions.means[:, 1], rtol=1e-12)
    batch = np.stack([x, np.where(np.arange(12)[:, None] < 8, x, np.nan)])
    both = np.asarray(jaxem.impute(model, params, batch, lengths=[12, 8]))
    np.testing.assert_allclose(both[0], filled, rtol=1e-12)
    assert np.isnan(both[1, 8:]).all() and np.isfinite(both[1, :8]).all()
    many = jaxem.impute(model, params, [x, x[:8]], key=jax.random.key(1), n_draws=2)
    assert [part.shape for part in many] == [(2, 12, 2), (2, 8, 2)]
    assert np.isfinite(np.concatenate(many, axis=1)).all()


def test_what_cannot_be_filled():
    model = jaxem.Mixture(Gaussian("full"), K)
    params = jaxem.MixtureParams(WEIGHTS, gaussian("full"))
    x = holed(np.ones((5, D)))
    with pytest.raises(ValueError, match="key and n_draws together"):
        jaxem.impute(model, params, x, n_draws=2)
    with pytest.raises(ValueError, match="5 columns"):
        jaxem.impute(model, params, np.ones((5, 5)))
    regression = jaxem.Mixture(LinearRegression(), 2)
    with pytest.raises(ValueError, match="whole"):
        jaxem.impute(regression, params, (x, x[:, 0]))
    with pytest.raises(ValueError, match="whole"):
        jaxem.impute(jaxem.Mixture(Multinomial(), 2), params, x)
    with pytest.raises(ValueError, match="with an exposure are not filled"):
        jaxem.impute(jaxem.Mixture(Poisson(exposure=True), 2), params, (x, x[:, 0]))


@pytest.mark.slow(but=("tied",))
@pytest.mark.parametrize("structure", STRUCTURES)
def test_conditional_densities_are_ratios(structure):
    model = jaxem.Mixture(Gaussian(structure), K)
    params = jaxem.MixtureParams(WEIGHTS, gaussian(structure))
    x = np.random.default_rng(0).normal(size=(20, D))
    x[:, [2, 0]] = [0.7, -0.4]
    rest, own = jaxem.conditional(model, params, {2: 0.7, 0: -0.4})
    alone, of_given = jaxem.conditional(model, params, {1: 0.0, 3: 0.0})
    del of_given
    marginal = jaxem.MixtureParams(WEIGHTS, model.family.marginal(params.components, [0, 2])[1])
    ratio = jaxem.log_prob(model, params, x) - jaxem.log_prob(alone, marginal, x[:, [0, 2]])
    np.testing.assert_allclose(jaxem.log_prob(rest, own, x[:, [1, 3]]), ratio, rtol=1e-10)


@pytest.mark.slow
def test_conditional_of_blocks():
    model, params = mixed()
    whole, _ = jaxem.sample(model, params, jax.random.key(0), 6)
    x = {name: np.array(part) for name, part in whole.items()}
    x["size"][:, 1], x["kind"][:], x["yes"][:, 0] = 0.3, [1, 2], 1
    given = {"size": {1: 0.3}, "kind": [1, 2], "yes": {0: 1}}
    rest, own = jaxem.conditional(model, params, given)
    kept = {
        "size": x["size"][:, [0, 2, 3]],
        "yes": x["yes"][:, [1]],
        "visits": x["visits"],
        "angle": x["angle"],
    }
    ratio = jaxem.log_prob(model, params, x) - jaxem.log_prob(rest, own, kept)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-10)  # the density of what is given
    blank = {name: np.full_like(part, np.nan) for name, part in x.items()}
    blank["size"][:, 1], blank["kind"], blank["yes"][:, 0] = 0.3, x["kind"], 1
    np.testing.assert_allclose(ratio[0], jaxem.log_prob(model, params, blank)[0], rtol=1e-10)


@pytest.mark.slow
def test_regression_by_conditioning():
    """E[x1 | x0] of one component is the line of least squares; vmap and grad go through."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 2)) @ np.array([[1.0, 0.7], [0.0, 0.4]]) + 3
    model = jaxem.Mixture(Gaussian("full"), 1)
    params = jaxem.fit(model, x, key=jax.random.key(0), n_init=1).params

    def mean(value):
        return jaxem.moments(*jaxem.conditional(model, params, {"in": value}, ["in", "out"])).mean[
            0
        ]

    slope, intercept = np.polyfit(x[:, 0], x[:, 1], 1)
    grid = jnp.linspace(0.0, 5.0, 4)
    np.testing.assert_allclose(jax.vmap(mean)(grid), intercept + slope * grid, rtol=1e-8)
    np.testing.assert_allclose(jax.grad(mean)(1.0), slope, rtol=1e-8)
    whole = jaxem.moments(model, params)
    np.testing.assert_allclose(whole.covariance, np.cov(x.T, bias=True), rtol=1e-8)


def test_moments_are_those_of_many_rows():
    params = jaxem.MixtureParams(WEIGHTS, gaussian("spherical"))
    model = jaxem.Mixture(Gaussian("spherical"), K)
    x, _ = jaxem.sample(model, params, jax.random.key(0), 200_000)
    found = jaxem.moments(model, params)
    np.testing.assert_allclose(found.mean, np.mean(x, axis=0), atol=0.03)
    np.testing.assert_allclose(found.covariance, np.cov(np.asarray(x).T), atol=0.08)


BAD = [
    ({}, "give values by column"),
    ({4: 1.0}, "columns 0 to 3"),
    ({-1: 1.0}, "whole number"),
    ({0: np.nan}, "one finite number"),
    ({0: [1.0, 2.0]}, "one finite number"),
    ({"a": 1.0}, "columns= was not given"),
    ({0: 1, 1: 1, 2: 1, 3: 1}, "none is left"),
]


@pytest.mark.parametrize("given, message", BAD)
def test_bad_columns(given, message):
    params = jaxem.MixtureParams(WEIGHTS, gaussian("full"))
    with pytest.raises(ValueError, match=message):
        jaxem.conditional(jaxem.Mixture(Gaussian("full"), K), params, given)


def test_conditional_is_of_mixtures():
    with pytest.raises(ValueError, match="of a mixture"):
        jaxem.conditional(jaxem.HMM(Gaussian("full"), 2), None, {0: 1.0})
    model, params = mixed()
    with pytest.raises(ValueError, match="the blocks are"):
        jaxem.conditional(model, params, {"colour": 1})
