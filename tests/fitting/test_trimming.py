"""Trimmed likelihood: the least likely rows do not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from outliers import GROUPS, SPOILT
from scipy import optimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import jaxem
from jaxem import families
from jaxem.fitting.trimming import kept

MODEL = jaxem.Mixture(families.Gaussian("full"), 2)


@pytest.fixture(scope="module")
def trimmed():
    return jaxem.fit(MODEL, SPOILT, key=jax.random.key(0), n_init=30, trim=0.1, tol=1e-10)


def _means(result):
    means = np.asarray(result.params.components.means)
    return means[np.argsort(means[:, 0])]


@pytest.mark.slow
def test_outliers_do_not_move_a_trimmed_fit(trimmed):
    """It is the fit of the clean rows; the plain one moves by more than half of their distance."""
    clean = jaxem.fit(MODEL, GROUPS, key=jax.random.key(0), n_init=30, tol=1e-10)
    plain = jaxem.fit(MODEL, SPOILT, key=jax.random.key(0), n_init=30)
    distance = np.linalg.norm(np.diff(_means(clean), axis=0))
    assert np.max(np.abs(_means(trimmed) - _means(clean))) < 1e-4 * distance
    assert np.max(np.linalg.norm(_means(plain) - _means(clean), axis=1)) > 0.5 * distance
    assert trimmed.log_likelihood == pytest.approx(float(clean.log_likelihood), rel=1e-8)
    assert "the 10 % least likely rows do not count" in str(trimmed)


def test_reported_likelihood_is_of_the_likeliest_rows(trimmed):
    p = trimmed.params
    pairs = zip(p.components.means, p.components.covariances, strict=True)
    each = np.array([multivariate_normal(m, c).logpdf(SPOILT) for m, c in pairs])
    density = np.sort(logsumexp(each, axis=0, b=np.asarray(p.weights)[:, None]))
    assert trimmed.log_likelihood == pytest.approx(np.sum(density[30:]), rel=1e-12)
    assert trimmed.total_weight == pytest.approx(270)


def test_trimmed_weights_tell_the_rows(trimmed):
    weight = np.asarray(jaxem.trimmed_weights(MODEL, trimmed.params, SPOILT, 0.1))
    np.testing.assert_array_equal(weight, np.repeat([1.0, 0.0], [270, 30]))
    weight = np.asarray(jaxem.trimmed_weights(MODEL, trimmed.params, SPOILT, 0.0))
    np.testing.assert_array_equal(weight, 1.0)


def test_weights_are_frequencies(trimmed):
    """The row at the border, which counts in part, too."""
    weight = np.random.default_rng(2).integers(0, 3, len(SPOILT))
    of = dict(trim=0.0777, tol=1e-10)
    own = jaxem.em(MODEL, trimmed.params, SPOILT, sample_weight=weight, **of)
    each = jaxem.em(MODEL, trimmed.params, np.repeat(SPOILT, weight, axis=0), **of)
    assert own.log_likelihood == pytest.approx(float(each.log_likelihood), rel=1e-12)
    assert own.total_weight == pytest.approx((1 - 0.0777) * np.sum(weight))


def test_border_by_hand():
    density = jnp.array([3.0, -jnp.inf, 1.0, jnp.nan, 2.0])
    weight = jnp.array([2.0, 1.0, 2.0, 0.0, 5.0])
    found = kept(density, weight, jnp.array(0.25))  # 2.5 of 10: all of the second, 1.5 of the third
    np.testing.assert_allclose(found, [2.0, 0.0, 0.5, 0.0, 5.0], rtol=1e-15)
    lost = kept(jnp.array([0.0, jnp.nan]), jnp.ones(2), jnp.array(0.5))
    np.testing.assert_array_equal(lost, [0.0, 1.0])  # NaN is never trimmed away unseen


def test_no_step_leads_down():
    """Plain EM from a poor start."""
    p = families.GaussianParams(
        np.array([[0.0, 30.0], [20.0, 0.0]]), np.array([np.eye(2) * 400] * 2)
    )
    params = jaxem.MixtureParams(np.array([0.5, 0.5]), p)
    values = []
    for n in range(12):
        result = jaxem.em(MODEL, params, SPOILT, trim=0.1, max_iter=n, acceleration=None)
        values.append(float(result.log_likelihood))
    assert np.all(np.diff(values) >= -1e-9) and values[-1] > values[0] + 1


@pytest.mark.slow
def test_derivative_of_a_trimmed_fit(trimmed):
    """Against central differences; a row that does not count has none."""

    def mean(x, tol):
        return jaxem.em(MODEL, trimmed.params, x, trim=0.1, tol=tol).params.components.means[0, 0]

    found = jax.grad(lambda x: mean(x, 1e-12))(jnp.array(SPOILT))
    step = np.zeros_like(SPOILT)
    step[3, 0] = 1e-4
    ends = [float(mean(SPOILT + sign * step, 1e-14)) for sign in (1, -1)]
    assert found[3, 0] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-6)
    np.testing.assert_array_equal(found[270:], 0.0)


def test_steps_and_traces_are_of_the_rows_that_count(trimmed):
    """And standard errors, which are of all rows, are refused."""
    prior = jaxem.MixturePrior(trim=0.1)
    statistics, value = jaxem.e_step(MODEL, trimmed.params, SPOILT, prior=prior)
    assert float(statistics.total_weight) == pytest.approx(270)
    assert float(value) == pytest.approx(float(trimmed.log_likelihood), rel=1e-9)
    trace = jaxem.em_trace(MODEL, trimmed.params, SPOILT, 1, prior=prior)
    np.testing.assert_allclose(trace.log_likelihood, float(trimmed.log_likelihood), rtol=1e-8)
    with pytest.raises(ValueError, match="all rows count"):
        jaxem.standard_errors(MODEL, trimmed.params, SPOILT, prior=prior)


def test_where_rows_are_not_together_it_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", SPOILT)
    source, file = jaxem.sources.npy(tmp_path / "x.npy"), tmp_path / "fit.ckpt"
    with pytest.raises(ValueError, match=r"trim leaves out .* a source never has together"):
        jaxem.fit(MODEL, source, key=jax.random.key(0), n_init=2, trim=0.1, checkpoint=file)
    with pytest.raises(ValueError, match="a device of several never has together"):
        mesh = jax.make_mesh((2,), ("rows",))
        jaxem.fit(MODEL, SPOILT, key=jax.random.key(0), n_init=2, trim=0.1, mesh=mesh)
    with pytest.raises(ValueError, match=r"whole sequences out, .* and there is one"):
        hmm = jaxem.HMM(families.Gaussian("full"), 2)
        jaxem.fit(hmm, SPOILT, key=jax.random.key(0), n_init=2, trim=0.1)


# ---- chains


CHAIN = jaxem.HMM(families.Gaussian("diag"), 2)
LENGTHS = np.array([30, 12, 45, 20, 30, 8, 25, 40, 33, 17, 22, 30])
BAD = [3, 8]  # sequences of something else, 53 of 312 steps
LAW = jaxem.HMMParams(
    np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]]),
    families.GaussianParams(np.array([[0.0], [4.0]]), np.ones((2, 1))),
)  # fmt: skip
KEYS = jax.random.split(jax.random.key(5), len(LENGTHS))
CLEAN = [
    np.asarray(jaxem.sample(CHAIN, LAW, key, int(n))[0])
    for key, n in zip(KEYS, LENGTHS, strict=True)
]
SEQUENCES = [30 + 10 * np.cos(x) if i in BAD else x for i, x in enumerate(CLEAN)]
SHARE = float(LENGTHS[BAD].sum() / LENGTHS.sum())


@pytest.fixture(scope="module")
def chain():
    return jaxem.fit(CHAIN, SEQUENCES, key=jax.random.key(0), n_init=10, trim=SHARE, tol=1e-10)


@pytest.mark.slow
def test_sequences_that_are_left_out_move_nothing(chain):
    """The fit is that of the others."""
    others = [x for i, x in enumerate(SEQUENCES) if i not in BAD]
    clean = jaxem.fit(CHAIN, others, key=jax.random.key(0), n_init=10, tol=1e-10)
    assert chain.log_likelihood == pytest.approx(float(clean.log_likelihood), rel=1e-8)
    assert float(chain.total_weight) == pytest.approx(LENGTHS.sum() - LENGTHS[BAD].sum())
    means = [np.sort(np.ravel(of.params.emissions.means)) for of in (chain, clean)]
    np.testing.assert_allclose(*means, atol=1e-4)
    weight = jaxem.trimmed_weights(CHAIN, chain.params, SEQUENCES, SHARE)
    np.testing.assert_allclose(weight, np.isin(np.arange(12), BAD, invert=True), atol=1e-9)
    assert "16.99 % of the steps in the least likely sequences do not count" in str(chain)


@pytest.mark.parametrize("trim", [0.1, 0.37])
@pytest.mark.parametrize("form", ["list", "batch"])
def test_the_sequences_that_count_have_the_largest_sum(trim, form):
    """Against scipy's linear program: of all shares that add up to those steps."""
    x, lengths = CLEAN, None
    if form == "batch":
        x = np.stack([np.pad(own, ((0, 45 - len(own)), (0, 0))) for own in CLEAN])
        lengths = LENGTHS
    each = np.asarray(jaxem.log_prob(CHAIN, LAW, x, lengths=lengths))
    times = np.where(np.arange(12) == 4, 3.0, 1.0)
    most = [(0, of) for of in times]
    total = (1 - trim) * np.sum(times * LENGTHS)
    best = optimize.linprog(-each, A_eq=LENGTHS[None], b_eq=[total], bounds=most)
    found = jaxem.trimmed_weights(CHAIN, LAW, x, trim, sample_weight=times, lengths=lengths)
    np.testing.assert_allclose(found, best.x, atol=1e-8)
    prior = jaxem.HMMPrior(trim=trim)
    data = jaxem.read(CHAIN, x, sample_weight=times, lengths=lengths)
    statistics, value = jaxem.e_step(CHAIN, LAW, data, prior=prior)
    assert float(value) == pytest.approx(-best.fun, rel=1e-9)
    assert float(statistics.total_weight) == pytest.approx(total)


@pytest.mark.slow
def test_no_step_of_a_trimmed_chain_leads_down():
    params = LAW._replace(
        emissions=families.GaussianParams(np.array([[-5.0], [20.0]]), 50 * np.ones((2, 1)))
    )
    values = [
        float(
            jaxem.em(
                CHAIN, params, SEQUENCES, trim=0.25, max_iter=n, acceleration=None
            ).log_likelihood
        )
        for n in range(10)
    ]
    assert np.all(np.diff(values) >= -1e-9) and values[-1] > values[0] + 1
