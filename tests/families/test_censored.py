"""Numbers that are only known to be beyond a limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxem
from jaxem import families

KEY = jax.random.key(0)
RNG = np.random.default_rng(4)
NUMBERS = RNG.normal(7.0, 2.0, 150)
LOW, HIGH = 5.5, 9.0
SIDE = 1 * (NUMBERS > HIGH) - (NUMBERS < LOW)
KNOWN = np.clip(NUMBERS, LOW, HIGH)


def fit(family, x, k=1, **options):
    options = {"key": KEY, "n_init": 2, "tol": 1e-10, **options}
    return jaxem.fit(jaxem.Mixture(family, k), x, **options)


@pytest.mark.slow(but=("float32-0.001",))
@pytest.mark.parametrize(("dtype", "within"), [(np.float64, 1e-5), (np.float32, 1e-3)])
def test_one_component_is_scipys_fit(dtype, within):
    found = fit(families.CensoredNormal(), (KNOWN.astype(dtype), SIDE))
    data = stats.CensoredData(
        uncensored=KNOWN[SIDE == 0], left=KNOWN[SIDE < 0], right=KNOWN[SIDE > 0]
    )
    mean, scale = stats.norm.fit(data)
    assert found.converged and found.dtype == np.dtype(dtype).name
    own = found.params.components
    np.testing.assert_allclose(own.means, [[mean]], rtol=within)
    np.testing.assert_allclose(own.scales, [[scale]], rtol=within)
    log_likelihood = (
        stats.norm.logpdf(KNOWN[SIDE == 0], mean, scale).sum()
        + stats.norm.logcdf(KNOWN[SIDE < 0], mean, scale).sum()
        + stats.norm.logsf(KNOWN[SIDE > 0], mean, scale).sum()
    )
    np.testing.assert_allclose(found.log_likelihood, log_likelihood, rtol=1e-5)


def test_every_step_rises_from_any_start():
    """The numbers beyond limits are hidden as labels are: EM is exact in both."""
    x = np.concatenate([NUMBERS, RNG.normal(0.0, 1.0, 150)])
    side = 1 * (x > HIGH) - (x < -0.5)
    data, model = (np.clip(x, -0.5, HIGH), side), jaxem.Mixture(families.CensoredNormal(), 2)
    components = families.CensoredNormalParams(np.array([[-3.0], [20.0]]), np.array([[1.0], [0.5]]))
    params = jaxem.MixtureParams(np.array([0.5, 0.5]), components)
    last = -np.inf
    for _ in range(12):
        sums, log_likelihood = jaxem.e_step(model, params, data)
        assert float(log_likelihood) > last
        last, params = float(log_likelihood), jaxem.m_step(model, params, sums)


@pytest.mark.slow
def test_equal_numbers_are_degenerate():
    result = fit(families.CensoredNormal(), (np.full(30, 5.0), np.zeros(30)))
    assert result.status == jaxem.Status.DEGENERATE


@pytest.mark.slow
def test_limits_far_out_are_finite():
    family, params = families.CensoredNormal(), families.CensoredNormalParams(0.0, 1.0)
    own = jax.tree.map(lambda value: jnp.full((1, 1), value), params)
    x = jnp.array([[30.0], [-30.0], [-30.0], [30.0]]), jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
    expected = [*stats.norm.logcdf([-30.0, -30.0]), 0.0, 0.0]
    np.testing.assert_allclose(family.evaluate(own, x)[0][0], expected, rtol=1e-10, atol=1e-12)
    for i, mean in enumerate([30.0333, -30.0333, 0.0, 0.0]):
        row = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], x)
        _, first, second = family.statistics(own, row, None, jnp.ones((1, 1)))[0, :, 0]
        np.testing.assert_allclose(first, mean, atol=1e-4)
        np.testing.assert_allclose(second, 1 + abs(mean) * 30.0, rtol=1e-4)


def test_a_component_that_never_ends_has_a_rate_of_zero():
    """A share of cures: those that went on for long, and those that ended early."""
    x = np.r_[RNG.exponential(1.0, 60), np.full(40, 50.0)]
    side = np.r_[np.zeros(60), np.ones(40)]
    result = fit(families.CensoredExponential(), (x, side), 2, n_init=6)
    assert result.converged
    np.testing.assert_allclose(np.min(result.params.components.rates), 0, atol=1e-6)
    np.testing.assert_allclose(np.max(result.params.components.rates), 60 / x[:60].sum(), rtol=0.05)
    assert "rates" in str(result.boundary)


@pytest.mark.parametrize(
    ("family", "x", "message"),
    [
        (families.CensoredNormal(), [1.0, 2.0, 3.0], r"give the tuple \(x, side\)"),
        (families.CensoredNormal(), ([1.0, 2.0], [0, 2]), "not among -1, 0, 1.*2 in row 1"),
        (families.CensoredNormal(), ([1.0, 2.0], [0, 0, 0]), "one for each cell"),
        (families.CensoredNormal(), ([1.0, np.inf], [0, 1]), "infinite values.*inf in row 1"),
        (families.CensoredExponential(), ([1.0, 2.0], [0, -1]), "not among 0, 1.*-1 in row 1"),
        (families.CensoredExponential(), ([1.0, 0.0], [0, 1]), "not above 0.*0 in row 1"),
    ],
)
def test_data_of_the_wrong_kind(family, x, message):
    with pytest.raises(ValueError, match=message):
        fit(family, tuple(map(np.array, x)) if isinstance(x, tuple) else np.array(x))
