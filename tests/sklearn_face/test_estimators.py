"""The estimators beside `GaussianMixture`: scikit-learn's checks, its results, its pipelines."""

import sys

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.estimator_checks import parametrize_with_checks

import jaxem
from jaxem import datasets, families
from jaxem.sklearn import (
    EMImputer,
    HiddenMarkovModel,
    LatentClassAnalysis,
    MixtureClassifier,
    StudentMixture,
    fitted,
)

X = datasets.load_iris().x  # (150, 4)
species = np.repeat(["setosa", "versicolor", "virginica"], 50)
ONE_START = {"n_init": 1, "max_iter": 20}
_FAIL = {
    "check_sample_weight_equivalence_on_dense_data": "its rows have categories of their own in "
    "each column: every division of them is an optimum"
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")  # of columns that few rows tell of
@parametrize_with_checks(
    [
        EMImputer(**ONE_START),
        MixtureClassifier(),
        HiddenMarkovModel(**ONE_START),
        LatentClassAnalysis(**ONE_START),
        StudentMixture(**ONE_START),
    ],
    expected_failed_checks=lambda estimator: _FAIL if "Latent" in repr(estimator) else {},
)
def test_scikit_learns_checks_of_estimators(estimator, check):
    check(estimator)


# ---- holes


@pytest.fixture(scope="module")
def holed():
    hidden = np.random.default_rng(0).random(X.shape) < 0.1
    return np.where(hidden, np.nan, X)


@pytest.mark.slow
def test_holes_are_filled_by_regression_on_the_other_columns(holed):
    """For one normal distribution: m + C[h, o] inv(C[o, o]) (x[o] - m[o]) of its estimates."""
    imputer = EMImputer(reg_covar=0, tol=1e-10).fit(holed)
    components = imputer.params_.components
    mean, c = components.means[0], components.covariances[0]
    filled = imputer.transform(holed)
    for row, own in zip(holed, filled, strict=True):
        h = np.isnan(row)
        slope = np.linalg.solve(c[np.ix_(~h, ~h)], c[np.ix_(~h, h)])
        expected = mean[h] + (row[~h] - mean[~h]) @ slope
        np.testing.assert_allclose(own[h], expected, rtol=1e-9)
        np.testing.assert_array_equal(own[~h], row[~h])


@pytest.mark.slow
def test_a_frame_with_holes_and_text_in_a_pipeline(holed):
    names = ["a", "b", "c", "d"]
    frame = pd.DataFrame(holed, columns=names).assign(
        place=np.where(np.arange(150) % 3, "field", "wood")
    )
    imputer = EMImputer(add_indicator=True, n_init=1)
    columns = make_column_transformer((imputer, names), (OneHotEncoder(), ["place"]))
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=1000))
    grid = {"columntransformer__emimputer__n_components": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(frame, species)
    assert search.best_score_ > 0.9
    told = columns.fit(frame).get_feature_names_out()
    assert list(told[:5]) == [f"emimputer__{n}" for n in [*names, "missingindicator_a"]]


@pytest.mark.slow
def test_drawn_cells_differ_and_keep_what_was_observed(holed):
    one, other = (
        EMImputer(sample_posterior=True, n_init=1, random_state=seed).fit_transform(holed)
        for seed in (0, 1)
    )
    hidden = np.isnan(holed)
    assert np.all(one[hidden] != other[hidden])
    np.testing.assert_array_equal(one[~hidden], X[~hidden])


def test_frames_come_out_where_they_are_asked_for(holed):
    frame = pd.DataFrame(holed, columns=list("abcd"), index=np.arange(150) + 7)
    out = EMImputer(n_init=1).set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == list("abcd") and list(out.index) == list(frame.index)


# ---- classes


@pytest.mark.slow
def test_equal_covariances_are_linear_discriminant_analysis():
    ours = MixtureClassifier(covariance_type="EEE", reg_covar=0).fit(X, species)
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(X, species)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-10)
    assert ours.converged_ and list(ours.classes_) == sorted(set(species))


@pytest.mark.slow
def test_known_classes_of_a_linked_structure():
    """As the mixture with all labels known, and BIC as its parts say."""
    ours = MixtureClassifier(covariance_type="VEV", reg_covar=0).fit(X, species)
    model = jaxem.Mixture(families.Gaussian("VEV"), 3)
    labels = np.repeat(np.arange(3), 50)
    joint = jaxem.fit(model, X, key=jax.random.key(0), n_init=1, labels=labels)
    assert ours.log_likelihood_ == pytest.approx(float(joint.log_likelihood), rel=1e-9)
    assert ours.bic(X, species) == pytest.approx(float(joint.bic), rel=1e-9)


@pytest.mark.slow
def test_a_mixture_a_class():
    """Two classes of two groups each, which no single normal distribution tells apart."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [4, 4], [0, 4], [4, 0]])
    x = np.concatenate([rng.normal(c, 0.7, size=(50, 2)) for c in centres])
    y = np.repeat([0, 0, 1, 1], 50)
    assert MixtureClassifier(covariance_type="diag").fit(x, y).score(x, y) < 0.8
    two = MixtureClassifier(2, covariance_type="diag", random_state=0).fit(x, y)
    assert two.score(x, y) > 0.98
    p = two.n_parameters_ + 1
    assert two.bic(x, y) == pytest.approx(-2 * two.log_likelihood_ + p * np.log(200))


def test_priors_are_taken_and_checked():
    even = MixtureClassifier(priors=[0.2, 0.2, 0.6]).fit(X, species)
    np.testing.assert_array_equal(even.priors_, [0.2, 0.2, 0.6])
    with pytest.raises(ValueError, match="there are 3 classes"):
        MixtureClassifier(priors=[0.5, 0.5]).fit(X, species)


# ---- sequences


@pytest.mark.slow
def test_sequences_are_those_of_jaxem():
    x = datasets.load_faithful().x[:100]
    ours = HiddenMarkovModel(2, family=families.Gaussian("diag"), n_init=4, random_state=0)
    ours.fit(x, lengths=[60, 40])
    parts = [x[:60], x[60:]]
    states, value = jaxem.viterbi(ours.model_, ours.params_, parts)
    np.testing.assert_array_equal(ours.predict(x, lengths=[60, 40]), np.concatenate(states))
    total = np.sum(jaxem.log_prob(ours.model_, ours.params_, parts))
    assert ours.score(x, lengths=[60, 40]) == pytest.approx(float(total))
    assert ours.log_likelihood_ == pytest.approx(float(total), rel=1e-9)
    assert np.sum(value) < total and ours.predict_proba(x).shape == (100, 2)
    with pytest.raises(ValueError, match="add up to the 100 rows"):
        ours.predict(x, lengths=[60, 41])


# ---- categories


@pytest.mark.slow
def test_latent_classes_of_text():
    """As the mixture of the same codes; a new category and a missing cell tell nothing."""
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.4
    shares = np.where(truth[:, None], [0.9, 0.8, 0.85], [0.2, 0.1, 0.3])
    codes = (rng.random((300, 3)) < shares).astype(float)
    answers = pd.DataFrame(np.where(codes > 0, "yes", "no"), columns=["a", "b", "c"])
    ours = LatentClassAnalysis(random_state=0).fit(answers)
    model = jaxem.Mixture(families.Categorical((2, 2, 2)), 2)
    own = jaxem.fit(model, codes, key=jax.random.key(0))
    assert ours.log_likelihood_ == pytest.approx(float(own.log_likelihood), rel=1e-8)
    assert ours.bic_ == pytest.approx(float(own.bic), rel=1e-8)
    assert [list(of) for of in ours.categories_] == [["no", "yes"]] * 3
    assert np.mean(ours.predict(answers) == truth) > 0.8  # the smaller class is the second
    new = answers.head(2).copy()
    new.loc[0, "a"], new.loc[1, "a"] = "maybe", None
    same = pd.DataFrame({"a": [None, None], "b": new["b"], "c": new["c"]})
    np.testing.assert_array_equal(ours.predict_proba(new), ours.predict_proba(same))


# ---- heavy tails


@pytest.fixture(scope="module")
def contaminated():
    """Two clusters, and outliers far from both."""
    rng = np.random.default_rng(0)
    clusters = [rng.normal(c, 1, (60, 2)) for c in (0, 8)]
    return np.concatenate([*clusters, rng.uniform(-40, 40, (12, 2))])


@pytest.mark.slow
def test_t_mixtures_are_those_of_jaxem(contaminated):
    ours = StudentMixture(2, n_init=5, reg_covar=0, random_state=0).fit(contaminated)
    model = jaxem.Mixture(families.StudentT("full"), 2)
    theirs = jaxem.fit(model, contaminated, key=jax.random.key(1), n_init=5)
    assert ours.log_likelihood_ == pytest.approx(float(theirs.log_likelihood), rel=1e-7)
    assert ours.score(contaminated) * 132 == pytest.approx(ours.log_likelihood_, rel=1e-12)
    density = sum(
        w * stats.multivariate_t(m, c, nu).pdf(contaminated)
        for w, m, c, nu in zip(
            ours.weights_, ours.means_, ours.scales_, ours.degrees_of_freedom_, strict=True
        )
    )
    np.testing.assert_allclose(ours.score_samples(contaminated), np.log(density), rtol=1e-10)
    p = 1 + 2 * (2 + 3 + 1)
    expected = -2 * ours.log_likelihood_ + p * np.log(132)
    assert ours.bic(contaminated) == pytest.approx(expected)


@pytest.mark.slow
def test_outliers_count_little_and_pull_nothing(contaminated):
    ours = StudentMixture(2, n_init=5, random_state=0).fit(contaminated)
    weights = ours.outlier_weights(contaminated)
    assert weights.shape == (132,) and weights[-12:].max() < 0.5 < np.median(weights[:120])
    means = ours.means_[np.argsort(ours.means_[:, 0])]
    np.testing.assert_allclose(means, [[0, 0], [8, 8]], atol=0.5)
    labels = ours.fit_predict(contaminated)
    assert len(set(labels[:60])) == 1 and len(set(labels[60:120])) == 1
    rows, components = ours.sample(50)
    assert rows.shape == (50, 2) and set(components) <= {0, 1}


@pytest.mark.slow
def test_degrees_of_freedom(contaminated):
    fixed = StudentMixture(degrees_of_freedom=4, n_init=1).fit(contaminated)
    assert fixed.degrees_of_freedom_.tolist() == [4.0]
    shared = StudentMixture(2, degrees_of_freedom="shared", n_init=2, random_state=0)
    assert len(set(shared.fit(contaminated.astype(np.float32)).degrees_of_freedom_)) == 1
    assert shared.means_.dtype == shared.score_samples(contaminated.astype("f4")).dtype == "f4"
    with pytest.raises(ValueError, match="'degrees_of_freedom' parameter"):
        StudentMixture(degrees_of_freedom="own").fit(contaminated)


@pytest.mark.slow
def test_weights_of_t_mixtures_are_frequencies(contaminated):
    counts = np.resize([1, 2, 0], 132)
    one = StudentMixture(n_init=1, tol=1e-10).fit(contaminated, sample_weight=counts)
    other = StudentMixture(n_init=1, tol=1e-10).fit(np.repeat(contaminated, counts, axis=0))
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-5, atol=1e-7)


def test_text_says_what_to_do():
    frame = pd.DataFrame({"size": [1.0, np.nan, 3.0], "town": ["x", "y", None]})
    said = r"not numeric: town; give the numbers alone, .*\(EMImputer\(\), make_column_selector"
    with pytest.raises(ValueError, match=said):
        EMImputer().fit(frame)


def test_text_is_told_by_name_and_without_narwhals_it_is_scikit_learns(monkeypatch):
    frame = pd.DataFrame({"a": [1.0, 2, 3], "colour": ["red", "blue", "red"]})
    with pytest.raises(ValueError, match="columns that are not numeric: colour; give the numbers"):
        fitted.as_rows(StudentMixture(), frame)
    text = fitted.as_rows(LatentClassAnalysis(), frame[["colour"]], dtype=None)  # which takes it
    assert text[:, 0].tolist() == ["red", "blue", "red"]
    monkeypatch.setitem(sys.modules, "narwhals", None)  # importing it raises
    fitted._require_numbers(StudentMixture(), X)
    fitted._require_numbers(StudentMixture(), frame)
