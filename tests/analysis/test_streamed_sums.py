"""What is said of a source at fitted parameters is what is said of the same rows in memory."""

import warnings

import jax
import numpy as np
import pytest

import jaxem
from jaxem import families, sources
from jaxem.analysis import in_pieces
from jaxem.core import source
from jaxem.fitting import sizes, stream
from laws.compare import close

KEY = jax.random.key(0)
N = 2003
RNG = np.random.default_rng(0)
GROUP = np.arange(N) % 2
X = RNG.normal(size=(N, 2)) + 3 * GROUP[:, None]
WEIGHT = np.append(RNG.integers(0, 4, N - 1), 2).astype(float)  # the last fills up the last part
LABELS = np.where(np.arange(N) % 9 == 0, GROUP, -1)
DIAG = jaxem.Mixture(families.Gaussian("diag"), 2)
GIVEN = jaxem.MixturePrior(
    weights=np.full(2, 900.0),
    components=families.GaussianPrior(mean=np.zeros(2), mean_precision=300.0, reg_covar=0.1),
)
PRIOR = {"prior": GIVEN}


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """2003 rows count as many: sums are over parts of a few blocks."""
    monkeypatch.setattr(source, "WHOLE", 1 << 10)
    monkeypatch.setattr(stream, "_PART", 3 * 256 * 28)  # bytes of three blocks
    monkeypatch.setattr(sizes, "_CACHE", 1)  # blocks of 256 rows
    monkeypatch.setattr(in_pieces, "_ROWS", 600)


def cut(x=X, weight=WEIGHT, labels=LABELS, size=777):
    def batches():
        for at in range(0, N, size):
            own = slice(at, at + size)
            yield x[own], weight[own], labels[own]

    return sources.batches(batches)


@pytest.fixture(scope="module")
def in_memory():
    return jaxem.read(DIAG, X, WEIGHT, LABELS)


@pytest.fixture(scope="module")
def params(in_memory):
    return jaxem.fit(DIAG, in_memory, key=KEY, n_init=1, tol=1e-9, **PRIOR).params


@pytest.mark.slow
def test_sums_go_by_weights_and_labels(in_memory, params):
    for given in ({}, PRIOR):
        found = jaxem.e_step(DIAG, params, cut(), **given)
        close(found, jaxem.e_step(DIAG, params, in_memory, **given), rtol=1e-12)
    for verb in (jaxem.log_likelihood, jaxem.aic, jaxem.bic, jaxem.icl):
        close(verb(DIAG, params, cut()), verb(DIAG, params, in_memory), rtol=1e-12)
    known = jaxem.MixtureParams(None, families.GaussianParams(None, params.components.covariances))
    fewer = jaxem.aic(DIAG, params, cut(), fixed=known) - jaxem.aic(DIAG, params, cut())
    close(fewer, -2.0 * 4, rtol=1e-9)  # variances


@pytest.mark.slow
def test_a_fit_says_the_same_of_itself():
    found = jaxem.fit(DIAG, cut(), key=KEY, n_init=1, max_iter=9)
    for verb, own in ((jaxem.aic, found.aic), (jaxem.bic, found.bic)):
        close(verb(DIAG, found.params, cut()), own, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["louis", "sandwich"])
def test_standard_errors_are_those_of_rows_in_memory(method, in_memory, params):
    given = {"method": method, **PRIOR}
    expected = jaxem.standard_errors(DIAG, params, in_memory, **given)
    close(jaxem.standard_errors(DIAG, params, cut(), **given), expected, rtol=1e-12)


@pytest.mark.slow
def test_outer_products_and_intervals(in_memory, params):
    """The prior, which weighs as much as the rows, counts once and not in each part."""
    of = {"errors": "outer", **PRIOR}
    expected = jaxem.confidence_intervals(DIAG, params, in_memory, **of)
    close(jaxem.confidence_intervals(DIAG, params, cut(), **of), expected, rtol=1e-12)
    found, expected = (
        jaxem.parameter_covariance(DIAG, params, of, method="outer", **PRIOR)
        for of in (cut(), in_memory)
    )
    assert found.names == expected.names
    close(found.matrix, expected.matrix, rtol=1e-11, atol=1e-15)
    with pytest.raises(ValueError, match=r'a profile goes through .*; take method="wald"'):
        jaxem.confidence_intervals(DIAG, params, cut(), method="profile", **PRIOR)


@pytest.mark.slow
def test_twins_are_named(in_memory):
    both = jaxem.MixtureParams(
        np.full(2, 0.5), families.GaussianParams(np.tile(X.mean(0), (2, 1)), np.ones((2, 2)))
    )
    unlabelled = sources.batches(lambda: [X[:900], X[900:]])
    one = jaxem.em(DIAG, both, X, tol=1e-12).params
    with pytest.warns(UserWarning, match="components 0 and 1 are identical"):
        jaxem.standard_errors(DIAG, one, unlabelled)


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_a_row_is_told_of_by_its_numbers_alone(small, params, monkeypatch):
    """Labels that are wrong and weights of 0 change nothing."""
    if small:
        monkeypatch.setattr(source, "WHOLE", 1 << 26)
    of = cut(labels=1 - GROUP, weight=GROUP * 1.0)
    for verb in (jaxem.log_prob, jaxem.predict, jaxem.predict_proba):
        close(verb(DIAG, params, of), verb(DIAG, params, X), rtol=1e-12)


def test_what_is_wrong_is_said_with_its_place(params):
    bad = X.copy()
    bad[np.flatnonzero(WEIGHT)[800], 1] = np.inf
    verbs = jaxem.e_step, jaxem.bic, jaxem.icl, jaxem.standard_errors, jaxem.log_prob
    for verb in verbs:
        with pytest.raises(ValueError, match=r"batch [01].*: x has 1 NaN or infinite"):
            verb(DIAG, params, cut(bad))
    with pytest.raises(ValueError, match="sample_weight of a source come"):
        jaxem.bic(DIAG, params, cut(), WEIGHT)
    with pytest.raises(ValueError, match="no rows of positive weight"):
        jaxem.e_step(DIAG, params, cut(weight=0 * WEIGHT))
    with pytest.raises(ValueError, match="rows in memory, such as some of them"):
        jaxem.likelihood_slice(DIAG, params, cut(), "weights[0]", [0.5])


# ---- holes


def holed():
    x = np.where(np.random.default_rng(1).random((N, 2)) < 0.3, np.nan, X)
    x[:5] = np.nan
    return x


@pytest.mark.slow
def test_what_is_filled_in_a_source_is_what_is_filled_in_memory(params, tmp_path):
    x = holed()
    expected = jaxem.impute(DIAG, params, x)
    found = jaxem.impute(DIAG, params, cut(x))
    for first in (0, 1999):
        rows = source.joined(list(found.pieces(first)))
        close(rows.x, expected[first:], rtol=1e-12)
        np.testing.assert_array_equal(rows.weight, WEIGHT[first:])
    sources.to_parquet(found, tmp_path / "filled.parquet")
    again = sources.parquet(
        tmp_path / "filled.parquet", sample_weight="sample_weight", labels="labels"
    )
    assert again.names == ("column_1", "column_2")
    rows = source.joined(list(again.pieces()))
    np.testing.assert_array_equal(rows.x, source.joined(list(found.pieces())).x)
    np.testing.assert_array_equal(rows.labels, LABELS)
    close(
        jaxem.log_likelihood(DIAG, params, found),
        jaxem.log_likelihood(DIAG, params, jaxem.read(DIAG, expected, WEIGHT, LABELS)),
        rtol=1e-12,
    )


@pytest.mark.slow
def test_what_no_row_has_is_told_of_all_pieces():
    """The first pieces alone would leave nothing open in the second component, and the last all."""
    means = np.array([[0.0, 0.0], [40.0, 40.0]])
    params = jaxem.MixtureParams(np.full(2, 0.5), families.GaussianParams(means, np.ones((2, 2))))
    x, second = X + 37 * GROUP[:, None], GROUP == 1
    for have in (second & (np.arange(N) < 700), np.zeros(N, bool)):
        x[:, 1] = np.where(second & ~have, np.nan, X[:, 1] + 37 * GROUP)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            expected, found = jaxem.impute(DIAG, params, x), jaxem.impute(DIAG, params, cut(x))
        assert len({str(of.message) for of in told}) == len(told) / 2 == float(not have.any())
        rows = source.joined(list(found.pieces()))
        np.testing.assert_array_equal(np.isnan(rows.x), np.isnan(expected))


def test_what_cannot_be_filled_or_written_is_said(params, tmp_path):
    with pytest.raises(ValueError, match="draws of a source do not fit"):
        jaxem.impute(DIAG, params, cut(holed()), key=KEY, n_draws=2)
    with pytest.raises(ValueError, match="batch 0: x has 3 columns"):
        jaxem.impute(DIAG, params, cut(np.ones((N, 3))))
    with pytest.raises(ValueError, match="no rows"):
        jaxem.impute(DIAG, params, sources.batches(list))
    path = tmp_path / "rows.parquet"
    path.write_text("of before")
    gone = sources.batches(lambda: (np.load(tmp_path / f"{of}.npy") for of in "ab"))
    np.save(tmp_path / "a.npy", X)
    with pytest.raises(ValueError, match=r"b\.npy"):
        sources.to_parquet(gone, path)
    with pytest.raises(ValueError, match="no rows"):
        sources.to_parquet(sources.batches(list), path)
    assert path.read_text() == "of before" and len(list(tmp_path.iterdir())) == 2


def test_blocks_and_their_columns_are_written_by_name(tmp_path):
    rows = {"a": X, "b": WEIGHT}
    sources.to_parquet(sources.batches(lambda: [rows, rows]), tmp_path / "rows.parquet")
    names = {"a": ["a_1", "a_2"], "b": "b_1"}
    found = source.joined(list(sources.parquet(tmp_path / "rows.parquet", names).pieces()))
    np.testing.assert_array_equal(found.x["a"], np.concatenate([X, X]))
    np.testing.assert_array_equal(found.x["b"][:N, 0], WEIGHT)
