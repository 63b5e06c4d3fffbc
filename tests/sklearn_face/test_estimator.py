"""The estimator against scikit-learn's contract for estimators, and its results as an oracle."""

import pickle
import warnings

import jax
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import mixture
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import jaxem
from jaxem import Status, datasets
from jaxem.sklearn import GaussianMixture

TYPES = ("full", "tied", "diag", "spherical")
X = datasets.load_iris().x  # (150, 4)
species = np.repeat(np.arange(3), 50)


def given(covariance_type):
    """All parts of a start: the moments of the three species, by their definitions."""
    means = np.stack([X[species == j].mean(0) for j in range(3)])
    full = np.stack([np.cov(X[species == j].T, bias=True) for j in range(3)])
    variances = np.diagonal(full, axis1=1, axis2=2)
    precisions = {
        "full": np.linalg.inv(full),
        "tied": np.linalg.inv(full.mean(0)),
        "diag": 1 / variances,
        "spherical": 1 / variances.mean(1),
    }[covariance_type]
    return {
        "n_components": 3, "covariance_type": covariance_type, "weights_init": np.full(3, 1 / 3),
        "means_init": means, "precisions_init": precisions,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([GaussianMixture()])
def test_scikit_learns_checks_of_estimators(estimator, check):
    check(estimator)


# ---- results


@pytest.mark.slow(but=("full", "diag"))
@pytest.mark.parametrize("covariance_type", TYPES)
def test_same_optimum_as_scikit_learn_from_the_same_start(covariance_type):
    options = {"reg_covar": 0, "max_iter": 3000, **given(covariance_type)}
    ours = GaussianMixture(tol=1e-12, **options).fit(X)
    theirs = mixture.GaussianMixture(tol=1e-14, **options).fit(X)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        a, b = getattr(ours, name), getattr(theirs, name)
        assert type(a) is np.ndarray and a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X), atol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    for name in ("score", "aic", "bic"):
        np.testing.assert_allclose(getattr(ours, name)(X), getattr(theirs, name)(X), rtol=1e-8)


def test_what_a_fit_says_of_itself():
    fit = GaussianMixture(reg_covar=0, tol=1e-9, max_iter=500, **given("full")).fit(X)
    assert fit.converged_ and fit.status_ is Status.CONVERGED and fit.n_best_ == 1
    assert len(fit.lower_bounds_) == fit.n_iter_ > 5
    assert np.all(np.diff(fit.lower_bounds_) > -1e-12)
    assert fit.lower_bounds_[-1] == fit.lower_bound_
    np.testing.assert_allclose(fit.lower_bound_, fit.score(X), rtol=1e-12)
    log_density = jaxem.log_prob(fit.model_, fit.params_, X)
    np.testing.assert_array_equal(fit.score_samples(X), log_density)
    np.testing.assert_array_equal(GaussianMixture(**given("full")).fit_predict(X), fit.predict(X))


@pytest.mark.slow
def test_dtype_follows_the_data_whatever_the_process_says():
    options = given("full")
    double = GaussianMixture(**options).fit(X)
    with jax.enable_x64(False):
        again = GaussianMixture(**options).fit(X)
        np.testing.assert_array_equal(again.means_, double.means_)
        np.testing.assert_array_equal(again.score_samples(X), double.score_samples(X))
    single = GaussianMixture(**options).fit(X.astype(np.float32))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(single, name).dtype == np.float32
    assert single.score_samples(X.astype(np.float32)).dtype == np.float32
    assert single.score_samples(X).dtype == np.float64
    assert single.sample(3)[0].dtype == np.float32
    np.testing.assert_allclose(single.means_, double.means_, atol=1e-3)


def test_weights_are_frequencies():
    weight = np.random.default_rng(0).integers(0, 3, 150)
    options = {"tol": 1e-9, "max_iter": 500, **given("diag")}
    weighted = GaussianMixture(**options).fit(X, sample_weight=weight)
    repeated = GaussianMixture(**options).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted.covariances_, repeated.covariances_, rtol=1e-9)
    np.testing.assert_allclose(weighted.lower_bound_, repeated.lower_bound_, rtol=1e-12)


def test_masks_are_seen():
    x = np.random.default_rng(0).normal(size=(50, 2))
    hidden = np.arange(50) < 5
    with pytest.raises(ValueError, match="NaN"):
        GaussianMixture(1).fit(np.ma.array(x, mask=np.stack([hidden, hidden], axis=1)))
    weight = np.ma.array(np.full(50, 7.0), mask=hidden)
    means = GaussianMixture(1).fit(x, sample_weight=weight).means_
    np.testing.assert_allclose(means[0], x[5:].mean(0), rtol=1e-12)


@pytest.mark.slow
def test_a_collapsed_start_does_not_win():
    x = np.random.default_rng(0).normal(size=(60, 2))
    x[1] = x[0] + 1e-3  # two rows on which the likelihood of a component has no bound
    options = {"n_components": 3, "n_init": 5, "random_state": 0}
    theirs = mixture.GaussianMixture(init_params="random_from_data", **options).fit(x)
    ours = GaussianMixture(init_params="portfolio", **options).fit(x)
    assert 60 * theirs.weights_.min() < 6 <= 60 * ours.weights_.min()  # 2 (d + 1) rows
    assert ours.converged_


# ---- starts


@pytest.mark.slow
def test_given_parts_of_a_start_are_kept():
    options = {"max_iter": 0, "random_state": 0, **given("diag")}
    for part, of in (
        ("weights_init", "weights_"), ("means_init", "means_"), ("precisions_init", "precisions_")
    ):  # fmt: skip
        others = {"weights_init": None, "means_init": None, "precisions_init": None}
        fit = GaussianMixture(**{**options, **others, part: options[part]}).fit(X)
        np.testing.assert_allclose(getattr(fit, of), options[part], rtol=1e-12)
        assert fit.n_iter_ == 0 and len(fit.lower_bounds_) == 0 and np.isfinite(fit.lower_bound_)
    start = GaussianMixture(3, covariance_type="diag", random_state=0, max_iter=0).fit(X)
    fit = GaussianMixture(3, covariance_type="diag", random_state=0).fit(X)
    again = clone(fit).set_params(precisions_init=start.precisions_).fit(X)
    np.testing.assert_allclose(again.precisions_, fit.precisions_, rtol=1e-9)
    assert again.n_iter_ == fit.n_iter_


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("weights_init", np.ones((3, 1)) / 3, r"weights_init has shape \(3, 1\); give \(3,\)"),
        ("weights_init", [0.5, 0.7, -0.2], "from 0 and add up to 1"),
        ("weights_init", [0.5, 0.2, 0.2], "from 0 and add up to 1"),
        ("means_init", np.zeros((2, 4)), r"means_init has shape \(2, 4\); give \(3, 4\)"),
        ("precisions_init", np.ones((3, 4)), r"precisions_init has shape .* give \(3, 4, 4\)"),
        ("precisions_init", np.stack([-np.eye(4)] * 3), "symmetric and positive definite"),
        ("precisions_init", np.stack([np.triu(np.ones((4, 4)))] * 3), "symmetric and positive"),
        ("init_params", "somehow", "init_params"),
        ("tol", -1.0, "tol"),
    ],
)
def test_bad_parameters_say_what_is_wrong(name, value, says):
    with pytest.raises(ValueError, match=says):
        GaussianMixture(3, **{name: value}).fit(X)


@pytest.mark.slow
def test_random_responsibilities_are_random_and_add_up():
    options = {"init_params": "random", "n_components": 3, "reg_covar": 0, "max_iter": 0}
    fit = GaussianMixture(random_state=0, **options).fit(X)
    second = fit.covariances_ + fit.means_[:, :, None] * fit.means_[:, None]
    np.testing.assert_allclose(fit.weights_ @ fit.means_, X.mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        np.einsum("k,kij->ij", fit.weights_, second), X.T @ X / 150, rtol=1e-12
    )
    assert np.ptp(fit.weights_) > 1e-3
    other = GaussianMixture(random_state=1, **options).fit(X)
    assert np.abs(fit.means_ - other.means_).max() > 1e-3


def test_a_warm_start_goes_on_where_it_was():
    options = {"tol": 1e-6, **given("diag")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        uncut = GaussianMixture(max_iter=300, **options).fit(X)
        cut = GaussianMixture(max_iter=2, warm_start=True, **options)
        scores = []
        while not scores or not cut.converged_:
            scores.append(cut.fit(X).lower_bound_)
            assert len(scores) < 100
    assert np.all(np.diff(scores) > 0) and cut.n_iter_ <= 2
    assert len(scores) == -(-uncut.n_iter_ // 2)
    np.testing.assert_array_equal(cut.means_, uncut.means_)
    with pytest.warns(ConvergenceWarning, match="MAX_ITER"):  # not the rows it had converged on
        assert cut.fit(X + 0.1).n_iter_ == 2


# ---- what is said


def test_a_fit_that_did_not_converge_warns():
    with pytest.warns(ConvergenceWarning, match="did not converge: MAX_ITER"):
        fit = GaussianMixture(max_iter=2, **given("full")).fit(X)
    assert not fit.converged_ and fit.status_ is Status.MAX_ITER
    x = X.copy()
    x[:2] = 9.0, 9.0, 9.0, 9.0
    start = {**given("full"), "means_init": np.stack([x[0], X.mean(0), X.mean(0) + 1])}
    with pytest.warns(ConvergenceWarning, match=r"DEGENERATE.*component 0 has"):
        fit = GaussianMixture(**start).fit(x)
    assert not fit.converged_ and np.isfinite(fit.score(x))


def test_no_likelihood_is_an_error():
    x = np.hstack([X[:, :3], np.ones((150, 1))])
    unfitted = GaussianMixture(3, reg_covar=0, random_state=0)
    with pytest.raises(ValueError, match=r"no start has a likelihood.*raise reg_covar"):
        unfitted.fit(x)
    assert not hasattr(unfitted, "weights_")
    assert GaussianMixture(3, reg_covar=1e-6, random_state=0).fit(x).converged_
    with pytest.raises(ValueError, match="2 distinct rows"):
        GaussianMixture(3).fit(np.repeat([[0.0], [1.0]], 5, axis=0))
    with pytest.raises(ValueError, match="n_samples = 2"):
        GaussianMixture(3).fit(X[:2])


def test_verbose_prints(capsys):
    GaussianMixture(verbose=1, verbose_interval=2, **given("full")).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "iteration 2: 1 of 1 starts still run"
    GaussianMixture(verbose=2, verbose_interval=1, **given("full")).fit(X)
    assert "highest lower bound -1." in capsys.readouterr().out


# ---- in the company of scikit-learn's other tools


def test_samples():
    fit = GaussianMixture(random_state=0, **given("full")).fit(X)
    x, labels = fit.sample(20000)
    assert x.shape == (20000, 4) and np.all(np.diff(labels) >= 0)
    np.testing.assert_allclose(np.bincount(labels) / 20000, fit.weights_, atol=0.02)
    for j in range(3):
        np.testing.assert_allclose(x[labels == j].mean(0), fit.means_[j], atol=0.05)
        np.testing.assert_allclose(np.cov(x[labels == j].T), fit.covariances_[j], atol=0.05)
    np.testing.assert_array_equal(fit.sample(7)[0], fit.sample(7)[0])
    fit.random_state = np.random.RandomState(0)
    assert np.all(fit.sample(7)[0] != fit.sample(7)[0])
    with pytest.raises(ValueError, match="n_samples is 0"):
        fit.sample(0)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_bring_their_names(frame):
    names = ["a", "b", "c", "d"]
    table = frame(dict(zip(names, X.T, strict=True)))
    fit = GaussianMixture(**given("full")).fit(table)
    assert list(fit.feature_names_in_) == names and fit.n_features_in_ == 4
    np.testing.assert_array_equal(fit.means_, GaussianMixture(**given("full")).fit(X).means_)
    with pytest.raises(ValueError, match="feature names"):
        fit.predict(table[names[::-1]])
    with pytest.raises(ValueError, match="2 features"):
        clone(fit).fit(X).predict(X[:, :2])


@pytest.mark.slow
def test_clone_pickle_pipeline_and_search():
    fit = GaussianMixture(warm_start=True, **given("full")).fit(X)
    assert not hasattr(clone(fit), "weights_")
    again = pickle.loads(pickle.dumps(fit))
    np.testing.assert_array_equal(again.predict_proba(X), fit.predict_proba(X))
    assert again.status_ is Status.CONVERGED and again.fit(X).n_iter_ == 1
    pipe = make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0))
    pipe.set_output(transform="pandas").fit(X)
    assert pipe.predict(X).shape == (150,) and pipe[-1].feature_names_in_[0] == "x0"
    search = GridSearchCV(
        pipe, {"gaussianmixture__reg_covar": [1e-6, 1e1]}, cv=2, error_score="raise"
    ).fit(X[np.random.default_rng(0).permutation(150)])
    assert search.best_params_ == {"gaussianmixture__reg_covar": 1e-6}


# ---- batches


def batches_of(x, size):
    return [x[at : at + size] for at in range(0, len(x), size)]


@pytest.mark.slow
def test_batches_are_steps_of_the_equation():
    """One component: the mean statistics move by g, and its mean and covariance are of them."""
    fit = GaussianMixture(1, reg_covar=0)
    x = X[np.random.default_rng(0).permutation(150)]
    first, *later = batches_of(x, 30)
    fit.partial_fit(first)
    mean, second = first.mean(0), first.T @ first / 30
    weight = np.arange(30) % 3
    for t, batch in enumerate(later, 1):
        g = (t + 10) ** -0.6
        share = weight / weight.sum()
        mean = (1 - g) * mean + g * share @ batch
        second = (1 - g) * second + g * (batch.T * share) @ batch
        assert fit.partial_fit(batch, sample_weight=weight) is fit
        assert fit.n_iter_ == t and not fit.converged_ and fit.status_ is Status.MAX_ITER
    np.testing.assert_allclose(fit.means_[0], mean, rtol=1e-9)
    np.testing.assert_allclose(fit.covariances_[0], second - np.outer(mean, mean), rtol=1e-9)
    np.testing.assert_allclose(fit.precisions_[0] @ fit.covariances_[0], np.eye(4), atol=1e-9)


@pytest.mark.slow
def test_batches_come_near_the_fit_of_all_rows():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6000, 2)) + 4 * rng.integers(0, 3, 6000)[:, None]
    options = {"n_components": 3, "covariance_type": "diag", "n_init": 3, "random_state": 0}
    whole, online = GaussianMixture(**options).fit(x), GaussianMixture(**options)
    for batch in batches_of(x, 250):
        online.partial_fit(batch)
    assert 0 <= whole.score(x) - online.score(x) < 5e-3
    assert online.score(x) > GaussianMixture(**options).partial_fit(x[:250]).score(x)
    assert not hasattr(online, "lower_bound_")
    again = pickle.loads(pickle.dumps(online)).partial_fit(x[:100])
    np.testing.assert_array_equal(again.means_, online.partial_fit(x[:100]).means_)
    np.testing.assert_array_equal(online.fit(x).means_, whole.means_)
    assert online.partial_fit(x[:250]).n_iter_ == 0  # begins anew after fit


@pytest.mark.slow
def test_what_is_wrong_with_a_batch():
    fit = GaussianMixture(3, covariance_type="diag", random_state=0)
    with pytest.raises(ValueError, match=r"distinct rows|n_components"):
        fit.partial_fit(np.repeat(X[:2], 5, axis=0))
    fit.partial_fit(X.astype(np.float32)).partial_fit(X[:1])
    assert fit.means_.dtype == np.float32
    with pytest.raises(ValueError, match="features"):
        fit.partial_fit(X[:, :3])
    with pytest.raises(ValueError, match="begin anew by fit"):
        fit.set_params(n_components=2).partial_fit(X)
