"""Gaussians with missing cells, against the row by row oracle, R's fits, and what is lost without
conditional covariances."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

import jaxem
from jaxem.core import parameters
from jaxem.core.dataset import as_dataset
from jaxem.families import Gaussian, GaussianParams, Product
from jaxem.families.gaussian import holes
from jaxem.reference import missing_cells as reference
from laws.compare import close

STRUCTURES = ("full", "tied", "diag", "spherical")
N, D, K = 60, 4, 3


def holed(x, share=0.3, seed=0):
    """Cells taken out at random, one row of all and none of a row."""
    x = np.array(x)
    x[np.random.default_rng(seed).random(x.shape) < share] = np.nan
    x[0], x[1] = np.nan, np.where(np.isnan(x[1]), 0.5, x[1])
    return x


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(3)
    mixing = rng.normal(size=(D, D))
    return rng.normal(size=(N, D)) @ mixing + 3 * rng.integers(0, K, N)[:, None]


def params_of(structure, seed=5):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(K, D, 2 * D))
    full = a @ a.transpose(0, 2, 1) / D
    covariances = {
        "full": full,
        "tied": full[0],
        "diag": full.diagonal(axis1=1, axis2=2),
        "spherical": np.array([1.0, 2.0, 3.0]),
    }[structure]
    components = GaussianParams(rng.normal(size=(K, D)) * 2, covariances)
    return jaxem.MixtureParams(np.array([0.2, 0.5, 0.3]), components)


def matrices(structure, covariances):
    covariances = np.asarray(covariances)
    if structure == "tied":
        return np.broadcast_to(covariances, (K, D, D))
    if structure == "full":
        return covariances
    return np.array([np.eye(D) * own for own in covariances])


def in_form(structure, matrix):
    """What a structure keeps of second moments (k, d, d)."""
    diagonal = matrix.diagonal(axis1=1, axis2=2)
    each = {"full": matrix, "tied": matrix.sum(0), "diag": diagonal, "spherical": diagonal.sum(1)}
    return each[structure]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_e_step_is_the_reference(structure, x):
    x, params = holed(x), params_of(structure)
    means = params.components.means
    full = matrices(structure, params.components.covariances)
    expected = reference.e_step(x, params.weights, means, full)
    model = jaxem.Mixture(Gaussian(structure, missing=True), K)
    found, log_likelihood = jaxem.e_step(model, params, x)
    np.testing.assert_allclose(log_likelihood, expected.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(found.counts, expected.counts, rtol=1e-11)
    first = expected.first - expected.counts[:, None] * means
    np.testing.assert_allclose(found.components.first, first, rtol=1e-9, atol=1e-10)
    cross = expected.first[:, :, None] * means[:, None]
    outer = expected.counts[:, None, None] * means[:, :, None] * means[:, None]
    around = expected.second - cross - cross.transpose(0, 2, 1) + outer
    np.testing.assert_allclose(
        found.components.second, in_form(structure, around), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose(
        jaxem.predict_proba(model, params, x), expected.responsibilities, atol=1e-11
    )


@pytest.mark.slow(but=("diag",))
@pytest.mark.parametrize("structure", STRUCTURES)
def test_without_holes_it_is_the_plain_family(structure, x):
    params = params_of(structure)
    plain, whole = (
        jaxem.em(jaxem.Mixture(Gaussian(structure, missing=missing), K), params, x, max_iter=5)
        for missing in (False, True)
    )
    close(whole.params, plain.params, rtol=1e-10)
    np.testing.assert_allclose(whole.log_likelihood, plain.log_likelihood, rtol=1e-12)


@pytest.mark.slow(but=("diag",))
@pytest.mark.parametrize("structure", ["full", "diag"])
def test_the_fit_is_a_stationary_point_that_em_climbs_to(structure, x):
    x = holed(x, 0.2)
    model = jaxem.Mixture(Gaussian(structure, missing=True), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5, tol=1e-13, max_iter=5000)
    assert result.converged

    def log_likelihood(components):
        return jaxem.log_likelihood(model, result.params._replace(components=components), x)

    slopes = jax.grad(log_likelihood)(result.params.components)
    assert all(float(jnp.max(jnp.abs(leaf))) < 1e-3 for leaf in jax.tree.leaves(slopes))
    trace = jaxem.em_trace(
        model,
        params_of(structure)._replace(
            weights=np.array([0.5, 0.5]),
            components=parameters.take(
                model.family.constraints, params_of(structure).components, np.array([0, 1])
            ),
        ),
        x,
        8,
    )
    assert np.all(np.diff(trace.log_likelihood) > 0)


@pytest.mark.slow
def test_conditional_covariances_are_what_keeps_variances_from_shrinking():
    """A correlated pair, 40 % of one column gone: filled by means alone its variance is too small
    by the share of holes times what the other column does not tell."""
    rng = np.random.default_rng(0)
    full = np.array([[1.0, 0.6], [0.6, 1.0]])
    x = rng.multivariate_normal(np.zeros(2), full, 40_000)
    x[rng.random(len(x)) < 0.4, 1] = np.nan
    model = jaxem.Mixture(Gaussian("full", missing=True), 1)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=1)
    covariance = np.asarray(result.params.components.covariances[0])
    np.testing.assert_allclose(covariance, full, atol=0.03)
    means = np.asarray(result.params.components.means[0])
    rows = [reference.row(own, means, covariance).mean for own in x[:4000]]
    by_means_alone = np.var(rows, axis=0)[1]
    np.testing.assert_allclose(by_means_alone, 1 - 0.4 * (1 - 0.36), atol=0.06)


# Hald's cement with 15 values removed in a monotone pattern (Draper and Smith 1966; Rubin 1976).
CEMENT = """
7 26 6 60 78.5
1 29 15 52 74.3
11 56 8 20 104.3
11 31 8 47 87.6
7 52 6 33 95.9
11 55 9 22 109.2
3 71 17 nan 102.7
1 31 22 nan 72.5
2 54 18 nan 93.1
nan nan 4 nan 115.9
nan nan 23 nan 83.8
nan nan 9 nan 113.3
nan nan 8 nan 109.4
"""


@pytest.mark.slow
def test_r_has_the_same_fit():
    """R's norm 1.0.11.1 and lavaan 0.6.14; the covariance is nearly singular, and plain EM slow."""
    x = np.array([row.split() for row in CEMENT.strip().splitlines()], float)
    model = jaxem.Mixture(Gaussian("full", missing=True), 1)
    for acceleration in ("squarem", None):
        result = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, tol=1e-12,
                           max_iter=20_000, acceleration=acceleration)  # fmt: skip
        assert result.converged
        np.testing.assert_allclose(result.log_likelihood, -132.925250445116, rtol=1e-9)
        means = [
            6.65516584595847,
            49.9652591199285,
            11.7692307692308,
            27.0470890435549,
            95.4230769230769,
        ]
        np.testing.assert_allclose(result.params.components.means[0], means, rtol=1e-5)
        variances = [
            21.825568069472,
            238.01243924588,
            37.8698224852071,
            294.183043778587,
            208.904852071006,
        ]
        found = np.diagonal(result.params.components.covariances[0])
        np.testing.assert_allclose(found, variances, rtol=1e-5)


# New York, 1973 (`datasets` of R); R's norm 1.0.11.1 and lavaan 0.6.14 of it.
AIR = Path(__file__).parent.parent / "cli" / "airquality.csv"
AIR_LOG_LIKELIHOOD = -2326.69738279834
AIR_MEANS = [41.8711730195979, 184.846806249845, 9.95751633986928, 77.8823529411765]
AIR_COVARIANCE = [
    [1044.01864306448, 942.52984181323, -64.6359276936995, 209.56350282618],
    [942.52984181323, 8090.7016612068, -17.3353803413116, 238.073311327028],
    [-64.6359276936995, -17.3353803413116, 12.3304173608441, -15.1723183391004],
    [209.56350282618, 238.073311327028, -15.1723183391004, 89.0057670126874],
]


@pytest.fixture(scope="module")
def air():
    return np.genfromtxt(AIR, delimiter=",", skip_header=1)


@pytest.mark.slow
@pytest.mark.parametrize("acceleration", ["squarem", None])
def test_any_units_have_the_fit_of_r(air, acceleration):
    """Columns of sizes 1e-6 to 1e6 times their own: the law changes units, and nothing else."""
    scale = np.array([1e-6, 1.0, 1e6, 1e3])
    model = jaxem.Mixture(Gaussian("full", missing=True), 1)
    for units in (np.ones(4), scale):
        result = jaxem.fit(model, air * units, key=jax.random.key(0), n_init=1, tol=1e-12,
                           acceleration=acceleration)  # fmt: skip
        means, covariances = result.params.components
        shift = np.sum(~np.isnan(air) * np.log(units))
        np.testing.assert_allclose(result.log_likelihood + shift, AIR_LOG_LIKELIHOOD, rtol=1e-12)
        np.testing.assert_allclose(means[0] / units, AIR_MEANS, rtol=1e-7)
        np.testing.assert_allclose(
            covariances[0] / np.outer(units, units), AIR_COVARIANCE, rtol=1e-6
        )


def test_nothing_near_is_likelier(air):
    """Direct maximisation of the likelihood of what was observed."""
    units = np.array([0.02, 0.01, 0.2, 0.1])
    x, below = air * units, np.tril_indices(4)
    patterns = np.unique(np.isnan(x), axis=0)

    def negative(values):
        root = np.zeros((4, 4))
        root[below] = values[4:]
        np.fill_diagonal(root, np.exp(np.diagonal(root)))
        total, covariance = 0.0, root @ root.T
        for gone in patterns:
            law = stats.multivariate_normal(values[:4][~gone], covariance[np.ix_(~gone, ~gone)])
            total -= law.logpdf(x[(np.isnan(x) == gone).all(axis=1)][:, ~gone]).sum()
        return total

    found = optimize.minimize(negative, np.zeros(14), method="BFGS")
    shift = np.sum(~np.isnan(air) * np.log(units))
    np.testing.assert_allclose(-found.fun + shift, AIR_LOG_LIKELIHOOD, rtol=1e-8)
    np.testing.assert_allclose(found.x[:4] / units, AIR_MEANS, rtol=1e-4)


@pytest.mark.slow
def test_jit_and_vmap_have_room_for_any_hole(x):
    x, params = holed(x), params_of("full")
    model = jaxem.Mixture(Gaussian("full", missing=True), K)
    plain = jaxem.em(model, params, x, max_iter=3)
    inside = jax.jit(lambda x: jaxem.em(model, params, x, max_iter=3))(x)
    close(inside.params, plain.params, rtol=1e-9)
    both = jnp.stack([jnp.asarray(x), jnp.asarray(x[::-1])])
    many = jax.vmap(lambda x: jaxem.em(model, params, x, max_iter=3))(both)
    close(jax.tree.map(lambda leaf: leaf[1], many.params), plain.params, rtol=1e-9)


@pytest.mark.slow
def test_a_chain_has_holes_too(x):
    model = jaxem.HMM(Gaussian("full", missing=True), 2)
    result = jaxem.fit(model, holed(x, 0.15), key=jax.random.key(0), n_init=4)
    assert result.converged
    assert np.all(np.isfinite(jaxem.smooth(model, result.params, holed(x, 0.15))))


def few_patterns(n=600, seed=0):
    """Rows of six patterns, one of which is rare and one of which lacks everything."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, D)) @ rng.normal(size=(D, D)) + 3 * rng.integers(0, K, n)[:, None]
    patterns = rng.random((6, D)) < 0.4
    patterns[0], patterns[1] = False, True
    x[patterns[rng.choice(6, n, p=[0.3, 0.01, 0.2, 0.2, 0.28, 0.01])]] = np.nan
    return x


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["full", "tied"])
@pytest.mark.parametrize("block_size", [None, 100])
def test_tiles_of_one_pattern_are_the_rows_by_themselves(structure, block_size):
    """Weights, known labels and rows of weight 0 among them."""
    x, rng = few_patterns(), np.random.default_rng(1)
    weight = rng.integers(0, 3, len(x)).astype(float)
    labels = np.where(rng.random(len(x)) < 0.1, rng.integers(0, K, len(x)), -1)
    model, params = jaxem.Mixture(Gaussian(structure, missing=True), K), params_of(structure)
    rows = as_dataset(model, x, weight, labels).for_fit
    assert rows.weight.ndim == 2 and rows.weight.shape[1] > 8
    assert rows.weight.sum() == weight.sum()
    kept = {"sample_weight": weight, "labels": labels, "max_iter": 4}
    tiled = jaxem.em(model, params, x, block_size=block_size, **kept)
    alone = jax.jit(lambda x: jaxem.em(model, params, x, **kept))(x)
    close(tiled.params, alone.params, rtol=1e-10)
    np.testing.assert_allclose(tiled.log_likelihood, alone.log_likelihood, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, None], ids=["every pattern its own", "tiles"])
def test_a_large_table_is_not_copied_and_says_the_same(share, monkeypatch):
    """Its rows are put together block by block."""
    x = few_patterns() if share is None else holed(few_patterns(), share)
    x[:, 0] = np.where(np.isnan(x[:, 3]), x[:, 0], np.nan)  # never together
    model = jaxem.Mixture(Gaussian("full", missing=True), 2)
    labels = np.where(np.arange(len(x)) % 10, -1, np.arange(len(x)) % 2)
    kept = {"key": jax.random.key(0), "max_iter": 5, "n_init": 2, "labels": labels}

    def found():
        with pytest.warns(UserWarning, match="columns 0 and 3 were never observed together"):
            return [jaxem.fit(model, x, block_size=size, **kept).params for size in (None, 120)]

    copied = found()
    monkeypatch.setattr(jaxem.core.rows, "_COPIED", 0)
    rows = as_dataset(model, x, labels=labels).for_fit
    assert rows.order is not None and rows.x.values.shape == x.shape
    close(found(), copied, rtol=1e-9)


@pytest.mark.slow
def test_refits_and_selection_of_a_large_table_are_those_of_its_copy(monkeypatch):
    model, x = jaxem.Mixture(Gaussian("tied", missing=True), 1), few_patterns()
    kept = {"key": jax.random.key(0), "n_init": 1, "max_iter": 3}

    def found():
        ratio = jaxem.lr_test(model, x, n_boot=2, **kept)
        chosen = jaxem.select([model, model.with_n_components(2)], x, criterion="icl", **kept)
        return ratio.replicates, [one.icl for one in chosen.candidates]

    copied = found()
    monkeypatch.setattr(jaxem.core.rows, "_COPIED", 0)
    close(found(), copied, rtol=1e-9)


@pytest.mark.slow
def test_a_large_table_is_sampled_for_its_starts_where_it_lies(monkeypatch):
    x = few_patterns(9000)
    model, kept = jaxem.Mixture(Gaussian("full", missing=True), K), {"n_init": 1, "max_iter": 3}
    copied = jaxem.fit(model, x, key=jax.random.key(0), **kept)
    monkeypatch.setattr(jaxem.core.rows, "_COPIED", 0)
    close(jaxem.fit(model, x, key=jax.random.key(0), **kept).params, copied.params, rtol=1e-9)


@pytest.mark.slow
def test_tiles_of_groups_far_apart_lose_no_digits():
    """Products would: components 1e5 standard deviations from each other."""
    x = few_patterns()
    x = x + 1e5 * (np.arange(len(x))[:, None] % 3)
    params = params_of("full")
    means = params.components.means + 1e5 * np.arange(K)[:, None]
    params = params._replace(components=params.components._replace(means=means))
    model = jaxem.Mixture(Gaussian("full", missing=True), K)
    tiled = jaxem.em(model, params, x, max_iter=3)
    alone = jax.jit(lambda x: jaxem.em(model, params, x, max_iter=3))(x)
    close(tiled.params, alone.params, rtol=1e-8)


def test_every_pattern_its_own_is_no_tile():
    x = holed(np.random.default_rng(0).normal(size=(200, 12)), 0.4)
    model = jaxem.Mixture(Gaussian("full", missing=True), 1)
    rows = as_dataset(model, x).for_fit
    assert rows.weight.ndim == 1
    holes = np.isnan(np.asarray(rows.x.values)).sum(1)[:200]
    assert np.all(np.diff(holes) >= 0)  # blocks of few holes are fast


@pytest.mark.slow
def test_blocks_of_columns_share_their_patterns():
    x = few_patterns()
    family = Product({"a": Gaussian("full", missing=True), "b": Gaussian("tied", missing=True)})
    model, data = jaxem.Mixture(family, 2), {"a": x[:, :2], "b": x[:, 2:]}
    assert as_dataset(model, data).for_fit.weight.ndim == 2
    first = jaxem.fit(model, data, key=jax.random.key(0), n_init=2, max_iter=3)
    again = jax.jit(lambda data: jaxem.em(model, first.params, data, max_iter=3))(data)
    close(jaxem.em(model, first.params, data, max_iter=3).params, again.params, rtol=1e-9)


def test_starts_look_at_a_sample_of_many_rows():
    """Whose rows lie in no order: tiles are of all rows alone."""
    x = few_patterns(9000)
    model = jaxem.Mixture(Gaussian("full", missing=True), K)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=1, max_iter=0)
    means = np.asarray(result.params.components.means)
    assert np.all(np.isfinite(means)) and np.all(np.abs(means - np.nanmean(x, axis=0)) < 12)
    assert result.provenance.n_rows == 9000


# Twelve rows of two columns whose likelihood has two maxima and a saddle (Murray 1977, in the
# discussion of Dempster, Laird and Rubin, p. 27).
MURRAY = [[1, 1], [1, -1], [-1, 1], [-1, -1], *[[2, np.nan]] * 2, *[[-2, np.nan]] * 2,
          *[[np.nan, 2]] * 2, *[[np.nan, -2]] * 2]  # fmt: skip


@pytest.mark.slow
def test_starts_find_both_maxima():
    model = jaxem.Mixture(Gaussian("full", missing=True), 1)
    result = jaxem.fit(model, MURRAY, key=jax.random.key(0), n_init=10, tol=1e-12)
    covariances = np.asarray(result.restarts.params.components.covariances)[:, 0]
    correlations = covariances[:, 0, 1] / np.sqrt(covariances[:, 0, 0] * covariances[:, 1, 1])
    np.testing.assert_allclose(np.abs(correlations), 0.5, atol=1e-4)
    assert {-1.0, 1.0} == set(np.sign(correlations))
    np.testing.assert_allclose(covariances[:, 0, 0], 8 / 3, rtol=1e-4)
    saddle = jaxem.MixtureParams(
        np.ones(1), GaussianParams(np.zeros((1, 2)), 2.5 * np.eye(2)[None])
    )
    assert result.log_likelihood > jaxem.log_likelihood(model, saddle, MURRAY) + 0.05


@pytest.mark.slow
def test_columns_never_seen_together_are_named(x):
    gone = np.array(x)
    gone[::2, 0], gone[1::2, 3] = np.nan, np.nan
    model = jaxem.Mixture(Gaussian("full", missing=True), 1)
    with pytest.warns(UserWarning, match="columns 0 and 3 were never observed together"):
        result = jaxem.fit(model, gone, key=jax.random.key(0), n_init=1)
    assert "columns 0 and 3 were never observed together" in str(result)
    diagonal = jaxem.Mixture(Gaussian("diag", missing=True), 1)
    jaxem.fit(diagonal, gone, key=jax.random.key(0), n_init=1)  # no covariance, no warning


@pytest.mark.slow
def test_models_of_several_sizes_share_their_rows(x):
    models = [jaxem.Mixture(Gaussian("full", missing=True), k) for k in (1, 2)]
    chosen = jaxem.select(models, few_patterns(300), key=jax.random.key(0), n_init=3)
    alone = jaxem.fit(models[1], few_patterns(300), key=jax.random.key(1), n_init=10)
    best = float(chosen.candidates[1].result.log_likelihood)
    np.testing.assert_allclose(best, alone.log_likelihood, rtol=1e-6)


def test_bad_holes(x):
    model = jaxem.Mixture(Gaussian("full", missing=True), 1)
    gone = np.array(x)
    gone[:, 2] = np.nan
    with pytest.raises(ValueError, match="column 2 was never observed"):
        jaxem.fit(model, gone, key=jax.random.key(0), n_init=1)
    with pytest.raises(ValueError, match="infinite"):
        jaxem.fit(model, np.where(x > 3, np.inf, x), key=jax.random.key(0), n_init=1)
    with pytest.raises(ValueError, match="missing is"):
        Gaussian("full", missing="yes")


@pytest.mark.slow
def test_matrices_of_holes_are_multiplied_as_they_are_added():
    rng = np.random.default_rng(0)
    k, h, n, d = 3, 4, 50, 6
    counts = rng.integers(0, h + 1, n)
    each = [np.concatenate([rng.permutation(d)[:m], np.full(h - m, d)]) for m in counts]
    missing, values = np.stack(each, 1).astype(np.int32), rng.normal(size=(k, h, h, n))
    expected = np.zeros((k, d, d))
    for i in range(n):
        own = missing[: counts[i], i]
        expected[:, own[:, None], own[None]] += values[:, : counts[i], : counts[i], i]
    for total in (holes._added, holes._multiplied):
        found = total(jnp.asarray(values), jnp.asarray(missing), d)
        np.testing.assert_allclose(found, expected, atol=1e-13)
