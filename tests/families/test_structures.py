"""Covariances that are linked: against published fits, other coordinates, and refusals."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import datasets
from jaxem.core import parameters
from jaxem.core.factors import eigh
from jaxem.families import Gaussian, GaussianParams
from jaxem.families.gaussian.shared_axes import Turned, angles, rotation, tournament
from jaxem.families.gaussian.structures import FOURTEEN
from jaxem.reference import covariance_structures
from laws.gaussian_cases import LINKED, dense, gaussian

K, D = 3, 4
NEW = ("EII", "EEI", *LINKED)


def scatter(d=D):
    """-> (rows, sums of outer products) of three groups of different sizes and forms."""
    x = np.random.default_rng(1).normal(size=(K, d, 3 * d))
    sizes = np.array([5.0, 9.0, 20.0])[:, None, None]
    return np.array([30.0, 50.0, 99.0]), np.einsum("kin,kjn->kij", x, x) * sizes


def estimate(name, count, sums, old, n_steps=5):
    structure = FOURTEEN[name]
    rows = jnp.asarray(count)[:, None, None] if old.ndim == 3 else jnp.asarray(count)[:, None]
    form = sums if old.ndim == 3 else sums.diagonal(0, -2, -1)
    step = jax.jit(structure.estimate)
    for _ in range(n_steps):
        old = step(rows, jnp.asarray(form), old)
    return old


def pooled(name, count, sums):
    return FOURTEEN[name].pooled(jnp.asarray(sums.sum(0) / count.sum()), len(count))


# ---- names


def test_names_of_mclust_and_of_scikit_learn_are_one():
    for one, other in (("VVV", "full"), ("EEE", "tied"), ("VVI", "diag"), ("VII", "spherical")):
        assert Gaussian(one) == Gaussian(other) and repr(Gaussian(one)) == f"Gaussian({other!r})"
    assert Gaussian("EEI") == Gaussian("tied-diag") != Gaussian("diag")
    assert len({Gaussian(name) for name in FOURTEEN}) == 14
    assert repr(Gaussian("VEV", missing=True)) == "Gaussian('VEV', missing=True)"
    with pytest.raises(ValueError, match=r"'VEX'.*'EEV', 'VEV', 'EVV'"):
        Gaussian("VEX")


@pytest.mark.parametrize("name", FOURTEEN)
def test_free_parameters_are_mclusts(name):
    """Those of k = 2 on iris; R's mclust 6.0.0."""
    count = dict(
        EII=10, VII=11, EEI=13, VEI=14, EVI=16, VVI=17, EEE=19, VEE=20, EVE=22, VVE=23, EEV=25,
        VEV=26, EVV=28, VVV=29,
    )[name]  # fmt: skip
    model = jaxem.Mixture(Gaussian(name), 2)
    covariances = np.asarray(FOURTEEN[name].pooled(jnp.eye(4), 2))
    params = jaxem.MixtureParams(np.full(2, 0.5), GaussianParams(np.zeros((2, 4)), covariances))
    assert int(jaxem.n_free_parameters(model, params)) == count


# ---- the M-step


@pytest.mark.slow(but=("VEV",))
@pytest.mark.parametrize("name", LINKED)
def test_no_volume_shape_or_turn_does_better(name):
    """The slope of Q at the estimate is 0: along log v, along log a and along turns of D."""
    count, sums = scatter()
    n_steps = 2 if name in ("EVE", "VVE") else 1  # a search
    best = estimate(name, count, sums, pooled(name, count, sums), n_steps)
    own = dense(name, GaussianParams(np.zeros((K, D)), best))
    axes = {"I": np.eye(D), "E": np.linalg.eigh(own[0])[1], "V": np.linalg.eigh(own)[1]}[name[2]]
    axes = jnp.asarray(np.broadcast_to(axes, (K, D, D)))
    along = np.einsum("kai,kab,kbj->kij", axes, own, axes)
    np.testing.assert_allclose(along * (1 - np.eye(D)), 0, atol=1e-12)
    spectra = jnp.asarray(along.diagonal(0, -2, -1))

    def q(free):
        volume, shape, turn = (jnp.broadcast_to(a, (K, *a.shape[1:])) for a in free)
        turned = axes + jnp.einsum("kab,kbi->kai", axes, turn - jnp.swapaxes(turn, 1, 2))
        stretched = spectra * jnp.exp(volume + shape - jnp.mean(shape, 1, keepdims=True))
        whole = jnp.einsum("kai,ki,kbi->kab", turned, stretched, turned)  # to first order
        inside = jnp.trace(jnp.linalg.solve(whole, jnp.asarray(sums)), axis1=1, axis2=2)
        return -0.5 * jnp.sum(jnp.asarray(count) * jnp.linalg.slogdet(whole)[1] + inside)

    many = [{"E": 1, "V": K, "I": 1}[letter] for letter in name]
    free = [jnp.zeros((k, *size)) for k, size in zip(many, ((1,), (D,), (D, D)), strict=True)]
    slopes, elsewhere = jax.grad(q)(free), jax.grad(q)([a + 0.1 * jnp.cos(a) for a in free])
    for slope in slopes if name[2] != "I" else slopes[:2]:
        np.testing.assert_allclose(slope, 0, atol=2e-7)
    assert float(jnp.abs(elsewhere[0]).max()) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ("EVE", "VVE"))
def test_no_sweep_lowers_q(name):
    """From axes that are far off, in twelve columns; they end where plain loops do, or higher."""
    x = np.random.default_rng(0).normal(size=(5, 12, 30))
    sums, count = np.einsum("kin,kjn->kij", x, x), np.full(5, 30.0)

    def q(c):
        inside = np.trace(np.linalg.solve(c, sums), axis1=1, axis2=2)
        return -0.5 * np.sum(count * np.linalg.slogdet(c)[1] + inside)

    covariances, values = pooled(name, count, sums), []
    for _ in range(6):
        covariances = estimate(name, count, sums, covariances, n_steps=1)
        values.append(q(np.asarray(covariances)))
    assert np.all(np.diff(values) > -1e-9)
    plain = q(covariance_structures.estimate(name, count, sums))
    assert values[-1] > plain - 1e-3 * abs(plain)


@pytest.mark.parametrize("name", LINKED)
def test_one_component_alone_has_no_link(name):
    count, sums = (of[:1] for of in scatter())
    found = estimate(name, count, sums, pooled(name, count, sums), n_steps=2)
    expected = sums / count[:, None, None]
    expected = expected if found.ndim == 3 else expected.diagonal(0, -2, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("name", LINKED)
def test_absent_components_follow_and_say_nothing(name):
    """The others are what they are without it, which keeps a volume of its own."""
    count, sums = scatter()
    start = pooled(name, count, sums)
    some = estimate(name, count * [1, 1, 0], sums * np.array([1, 1, 0])[:, None, None], start)
    alone = estimate(name, count[:2], sums[:2], start[:2])
    np.testing.assert_allclose(some[:2], alone, rtol=1e-9, atol=1e-9)
    FOURTEEN[name].constraint.check(some, "covariances")
    own = GaussianParams(np.zeros((K, D)), some), GaussianParams(np.zeros((K, D)), start)
    new, old = (np.linalg.det(dense(name, of)[2]) for of in own)
    if name[0] == "V":
        np.testing.assert_allclose(new, old, rtol=1e-10)


def test_no_turn_raises_the_sum_of_given_variances():
    """Pairs of axes at random, among them some that turn as far as they may."""
    x = np.random.default_rng(3).normal(size=(500, 2, 2, 3))
    s = jnp.asarray(np.einsum("rkin,rkjn->rkij", x, x))
    variances = jnp.diagonal(s, axis1=2, axis2=3)
    partner = jnp.array([1, 0], jnp.int32)

    def after_turns(s, variances):
        angle = angles(Turned(s, jnp.eye(2), variances, jnp.ones(())), partner)
        turns = rotation(partner, angle)
        return jnp.einsum("ai,kab,bj->kij", turns, s, turns), turns

    new, turns = jax.vmap(after_turns)(s, variances)
    product = turns @ jnp.swapaxes(turns, 1, 2)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(2), product.shape), atol=1e-12)
    before, after = (
        jnp.sum(jnp.diagonal(of, axis1=2, axis2=3) / variances, axis=(1, 2)) for of in (s, new)
    )
    assert np.all(after <= before + 1e-12) and np.any(after < before - 0.1)


@pytest.mark.parametrize("d", [1, 2, 3, 6, 7])
def test_all_axes_meet_once(d):
    rounds = tournament(d)
    pairs = [(i, j) for partner in rounds for i, j in enumerate(partner) if i < j]
    assert sorted(pairs) == list(combinations(range(d), 2))
    for partner in rounds:
        np.testing.assert_array_equal(partner[partner], np.arange(d))


# ---- coordinates


@pytest.mark.slow(but=("EEV",))
@pytest.mark.parametrize("name", LINKED)
def test_all_coordinates_are_of_the_structure_and_none_is_spare(name):
    case = gaussian(name, D)
    of, value = FOURTEEN[name].constraint, case.params.covariances
    u = of.to_unconstrained(value)
    for scale in (1.0, 3.0):
        noise = np.random.default_rng(2).normal(0, scale, u.shape)
        found = of.from_unconstrained(jnp.asarray(noise))
        of.check(found, name)
        again = of.from_unconstrained(of.to_unconstrained(found))
        np.testing.assert_allclose(again, found, rtol=1e-8, atol=1e-12 * float(jnp.max(found)))

    def flat(u):
        return jnp.ravel(of.from_unconstrained(u.reshape(value.shape)))

    rank = np.linalg.matrix_rank(np.asarray(jax.jacobian(flat)(jnp.ravel(u))), tol=1e-9)
    nothing = jnp.full_like(value, jnp.nan)
    assert int(of.n_free(nothing, jnp.ones(K, bool))) == rank
    assert int(of.n_free(value, jnp.ones(K, bool))) == 0


@pytest.mark.parametrize("name", ("EVE", "VVE"))
def test_ellipses_across_each_other_have_common_axes(name):
    """Their sum is a circle, and tells no axes."""
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    across = jnp.asarray(turn @ np.array([np.diag([1.0, 4.0]), np.diag([4.0, 1.0])]) @ turn.T)
    of = FOURTEEN[name].constraint
    np.testing.assert_allclose(of.from_unconstrained(of.to_unconstrained(across)), across)


def test_vectors_of_equal_eigenvalues_have_no_derivative():
    a, b = (jnp.asarray(of) for of in np.random.default_rng(0).normal(size=(2, 2, 4, 4)))
    matrix, change = a + jnp.swapaxes(a, 1, 2), b + jnp.swapaxes(b, 1, 2)
    found = jax.jvp(eigh, (matrix,), (change,))
    expected = jax.jvp(lambda m: tuple(jnp.linalg.eigh(m)), (matrix,), (change,))
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, atol=1e-10), found, expected)
    (values, _), (moved, turned) = jax.jvp(eigh, (jnp.eye(4),), (change[0],))
    assert np.isfinite(values).all() and np.isfinite(moved).all() and np.isnan(turned).all()


# ---- fits

FAITHFUL = {
    "EII": -1709.68137295, "EEI": -1157.68001234, "VEI": -1152.88019637, "EVI": -1153.88556822,
    "VEE": -1136.25985414, "EVE": -1136.91026067, "VVE": -1132.18744640, "EEV": -1139.33159866,
    "VEV": -1134.67920352, "EVV": -1135.76990394,
}  # fmt: skip


@pytest.mark.slow(but=("EVE",))
@pytest.mark.parametrize("name", FAITHFUL)
def test_best_known_optimum_of_old_faithful(name):
    """R's mclust 6.0.0, whose VVE stops short of the maximum."""
    model, best = jaxem.Mixture(Gaussian(name), 2), FAITHFUL[name]
    result = jaxem.fit(model, datasets.load_faithful().x, key=jax.random.key(0), tol=1e-9)
    assert result.converged
    if name == "VVE":
        assert float(result.log_likelihood) > best
    else:
        np.testing.assert_allclose(float(result.log_likelihood), best, rtol=1e-9)


@pytest.mark.parametrize("name", ("VEI", "VEE", "VEV", "EVE", "VVE"))
def test_no_step_of_em_falls(name):
    """From a poor start: the likelihood of iris rises by every step, where M-steps are searches."""
    x, model = datasets.load_iris().x, jaxem.Mixture(Gaussian(name), K)
    x = jnp.asarray(x)
    components = model.family.fit_one_component(x, jnp.ones(len(x)), K)
    components = components._replace(means=x[jnp.array([3, 60, 140])])
    params, values = jaxem.MixtureParams(jnp.full(K, 1 / K), components), []
    for _ in range(15):
        statistics, value = jaxem.e_step(model, params, x)
        params = jaxem.m_step(model, params, statistics)
        values.append(float(value))
    assert np.all(np.diff(values) > -1e-10 * abs(values[-1]))
    assert values[-1] - values[0] > 50


@pytest.fixture(scope="module")
def iris():
    model = jaxem.Mixture(Gaussian("VEV"), 2)
    x = datasets.load_iris().x
    return model, x, jaxem.fit(model, x, key=jax.random.key(0), tol=1e-9)


@pytest.mark.slow
def test_mclusts_choice_on_iris(iris):
    """VEV with 2 groups has BIC 561.7285, the lowest of all (Scrucca et al. 2016)."""
    model, x, result = iris
    np.testing.assert_allclose(float(jaxem.bic(model, result.params, x)), 561.7285, atol=1e-4)
    np.testing.assert_array_equal(
        np.sort(np.bincount(jaxem.predict(model, result.params, x))), [50, 100]
    )


@pytest.mark.slow
def test_columns_given_others_are_unlinked(iris):
    model, x, result = iris
    rest, params = jaxem.conditional(model, result.params, {0: 5.0})
    assert rest.family == Gaussian("full")
    whole = np.insert(np.asarray(x[:5, 1:]), 0, 5.0, axis=1)
    one = jax.tree.map(lambda a: np.asarray(a), result.params)
    marginal = [
        w * np.exp(-0.5 * (5.0 - m[0]) ** 2 / c[0, 0]) / np.sqrt(2 * np.pi * c[0, 0])
        for w, m, c in zip(one.weights, *one.components, strict=True)
    ]
    np.testing.assert_allclose(
        jaxem.log_prob(rest, params, x[:5, 1:]),
        np.asarray(jaxem.log_prob(model, result.params, whole)) - np.log(sum(marginal)),
        rtol=1e-9,
    )


@pytest.mark.slow
def test_standard_errors_are_those_of_other_coordinates():
    """VVE in two columns, by an angle and log variances; the delta method by hand."""
    model, x = jaxem.Mixture(Gaussian("VVE"), 2), datasets.load_faithful().x
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=4, tol=1e-12)
    found = jaxem.standard_errors(model, result.params, x)

    def params(t):
        share = jax.nn.sigmoid(t[0])
        c, s = jnp.cos(t[5]), jnp.sin(t[5])
        axes = jnp.array([[c, -s], [s, c]])
        variances = jnp.exp(t[6:]).reshape(2, 2)
        covariances = jnp.einsum("il,kl,jl->kij", axes, variances, axes)
        means = GaussianParams(t[1:5].reshape(2, 2), covariances)
        return jaxem.MixtureParams(jnp.stack([share, 1 - share]), means)

    weights, (means, covariances) = result.params
    _, axes = np.linalg.eigh(np.asarray(covariances[0]))
    variances = np.einsum("il,kij,jl->kl", axes, covariances, axes)
    angle = np.arctan2(axes[1, 0], axes[0, 0])
    odds = np.log(weights[0] / weights[1])
    t = jnp.asarray(np.concatenate([[odds], np.ravel(means), [angle], np.ravel(np.log(variances))]))
    np.testing.assert_allclose(params(t).components.covariances, covariances, rtol=1e-9)

    def log_likelihood(t):
        p = params(t)
        away = jnp.asarray(x)[None] - p.components.means[:, None]
        inside = jnp.einsum("kni,kij,knj->kn", away, jnp.linalg.inv(p.components.covariances), away)
        logs = -0.5 * (inside + jnp.linalg.slogdet(p.components.covariances)[1][:, None])
        both = logs + jnp.log(p.weights)[:, None]
        return jnp.sum(jax.nn.logsumexp(both, axis=0))

    inverse = np.linalg.inv(-jax.hessian(log_likelihood)(t))
    each = jax.jacobian(params)(t)

    def error(jacobian):
        return np.sqrt(np.einsum("...i,ij,...j->...", jacobian, inverse, jacobian))

    jax.tree.map(lambda a, j: np.testing.assert_allclose(a, error(j), rtol=1e-5), found, each)


@pytest.mark.slow
@pytest.mark.parametrize("name", ("VEI", "VVE"))
def test_derivatives_of_a_fit_are_differences(name):
    """Through the search of the M-step, in reverse."""
    x = np.asarray(datasets.load_faithful().x)[::4]
    x = jnp.asarray((x - x.mean(0)) / x.std(0))
    model, n = jaxem.Mixture(Gaussian(name), 2), len(x)
    start = jaxem.fit(model, x, key=jax.random.key(0), n_init=2, tol=1e-10).params

    def number(weight):
        own = jaxem.em(model, start, x, sample_weight=weight, tol=1e-12, max_iter=3000).params
        return own.components.covariances[0].sum() + own.weights[0]

    one, step = jnp.ones(n), jnp.asarray(np.random.default_rng(0).normal(size=n))
    slope = jax.grad(number)(one)
    difference = (number(one + 1e-4 * step) - number(one - 1e-4 * step)) / 2e-4
    np.testing.assert_allclose(slope @ step, difference, rtol=1e-5)


@pytest.mark.slow
def test_states_of_a_chain_and_holes():
    """A hidden Markov model with cells that are missing: sound, and as free as it says."""
    truth = jaxem.HMM(Gaussian("EVE"), 2)
    axes, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))
    covariances = np.einsum("il,kl,jl->kij", axes, [[4.0, 0.25], [0.5, 2.0]], axes)
    emissions = GaussianParams(np.array([[0.0, 0.0], [5.0, 5.0]]), covariances)
    law = np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]])
    x, states = jaxem.sample(truth, jaxem.HMMParams(*law, emissions), jax.random.key(1), 400)
    holed = np.where(np.random.default_rng(2).random((400, 2)) < 0.1, np.nan, x)
    model = jaxem.HMM(Gaussian("EVE", missing=True), 2)
    result = jaxem.fit(model, holed, key=jax.random.key(0), n_init=3)
    assert result.converged and int(result.n_free_parameters) == 1 + 2 + 4 + 1 + 2 + 1
    model.family.covariance.constraint.check(result.params.emissions.covariances, "covariances")
    found = np.argsort(result.params.emissions.means[:, 0])
    np.testing.assert_allclose(
        result.params.emissions.covariances[found], covariances, atol=0.25 * 4
    )
    path, _ = jaxem.viterbi(model, result.params, holed)
    assert np.mean(found[np.asarray(states)] == np.asarray(path)) > 0.95


@pytest.mark.slow
def test_models_of_several_sizes_share_a_compilation():
    """Absent components of the larger program change nothing; k = 1 is that of any structure."""
    x = datasets.load_faithful().x
    models = [jaxem.Mixture(Gaussian("VEV"), k) for k in (1, 2, 3)]
    chosen = jaxem.select(models, x, key=jax.random.key(0), n_init=20, tol=1e-9)
    values = [float(c.result.log_likelihood) for c in chosen.candidates]
    best = [-1289.56745, -1134.67920352, -1122.54939033]
    np.testing.assert_allclose(values[1:], best[1:], rtol=1e-6)
    cov = np.cov(np.asarray(x).T, bias=True)
    alone = -0.5 * len(x) * (2 * np.log(2 * np.pi) + np.linalg.slogdet(cov)[1] + 2)
    np.testing.assert_allclose(values[0], alone, rtol=1e-9)


@pytest.mark.slow
def test_bounded_likelihoods_are_exempt_from_a_collapse():
    """Two rows alone, far off: legal for one common covariance, a collapse of one's own."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(60, 2)), 50 + 0.01 * rng.normal(size=(2, 2))])
    for name in ("EII", "EEI"):
        model = jaxem.Mixture(Gaussian(name), 2)
        result = jaxem.fit(model, x, key=jax.random.key(0), n_init=4)
        assert result.converged and np.isinf(np.asarray(result.health.variance_ratio)).all()
    model = jaxem.Mixture(Gaussian("VEI"), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=4)
    assert not result.converged or result.health.count.min() > 6


def test_a_column_of_few_values_is_told_where_components_share_its_variance():
    x = np.stack([np.arange(40.0) % 2, np.random.default_rng(0).normal(size=40)], axis=1)
    told = [n for n, of in FOURTEEN.items() if Gaussian(n).unbounded(x, np.ones(40), None, 2)]
    assert set(told) == {"EEI", "VEI", "EEE", "VEE", "EEV", "VEV"}


# ---- refusals


@pytest.mark.parametrize("name", LINKED)
def test_parameters_of_another_structure_are_refused(name):
    _, sums = scatter()
    covariances = sums if name[2] != "I" else sums.diagonal(0, -2, -1)
    params = GaussianParams(np.zeros((K, D)), covariances)
    what = {"E": "volumes", "V": "shapes|orientations"}[name[0]]
    with pytest.raises(ValueError, match=rf"covariances has ({what}) that differ.*{name}"):
        Gaussian(name).as_params(params, jnp.zeros((5, D)), K)


def test_what_is_linked_is_fixed_as_a_whole_or_not():
    case = gaussian("VEI", D)
    some = case.params.covariances.at[0].set(jnp.nan)
    fixed = GaussianParams(None, some)
    with pytest.raises(ValueError, match=r"VEI are linked .* all components or none"):
        parameters.read_fixed(case.family.constraints, fixed, case.params, "fixed")


@pytest.mark.slow
@pytest.mark.parametrize("convert", ["sklearn", "hmmlearn"])
def test_other_libraries_have_four_structures(convert):
    components = gaussian("VEV", 2).params
    if convert == "sklearn":
        from jaxem.sklearn import to_sklearn

        params = jaxem.MixtureParams(np.full(3, 1 / 3), components)
        with pytest.raises(ValueError, match="'VEV'; it must be one of 'full'"):
            to_sklearn(jaxem.Mixture(Gaussian("VEV"), 3), params)
        return
    from jaxem.hmmlearn import to_hmmlearn

    hmm = jaxem.HMM(Gaussian("VEV"), 3)
    law = np.full(3, 1 / 3), np.full((3, 3), 1 / 3)
    with pytest.raises(ValueError, match="'VEV'; it must be one of 'full'"):
        to_hmmlearn(hmm, jaxem.HMMParams(*law, components))
