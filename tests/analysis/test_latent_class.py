"""Latent class reports: R's poLCA 1.6.0 on the LSAT, and definitions in plain NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxem
from jaxem import datasets, families


@pytest.fixture(scope="module")
def lsat():
    x = datasets.load_lsat().x
    model = jaxem.Mixture(families.Categorical(2), 2)
    result = jaxem.fit(model, x, key=jax.random.key(0), n_init=20, tol=1e-12, max_iter=5000)
    return model, result, x


def test_it_is_what_polca_reports(lsat):
    model, result, x = lsat
    report = jaxem.latent_classes(model, result.params, x)
    # Flat along the sizes: poLCA stops 6e-9 below, where they differ by 2e-5.
    np.testing.assert_allclose(np.sort(report.sizes), [0.339538974761, 0.660461025239], atol=1e-4)
    np.testing.assert_allclose([report.g2, report.chi2], [22.733925466, 19.494726410], rtol=1e-5)
    assert report.degrees_of_freedom == 20 and report.n_cells == 32 and report.n_parameters == 11
    assert report.counts.sum() == 1000
    assert 0.25 < report.p_g2 < 0.35
    text = str(report)
    assert "x4 = 1" in text and "20 degrees of freedom" in text


def test_yes_and_no_are_two_categories(lsat):
    model, result, x = lsat
    components = families.BernoulliParams(
        jnp.stack([table[:, 1] for table in result.params.components.probabilities], axis=1)
    )
    params = result.params._replace(components=components)
    other = jaxem.latent_classes(jaxem.Mixture(families.Bernoulli(), 2), params, x)
    report = jaxem.latent_classes(model, result.params, x)
    np.testing.assert_allclose(other.items, report.items, rtol=1e-12)
    np.testing.assert_allclose(other.g2, report.g2, rtol=1e-9)


def test_statistics_are_their_definitions():
    """Over all cells of a 2 x 3 table, by enumeration."""
    model = jaxem.Mixture(families.Categorical((2, 3)), 2)
    tables = (
        jnp.array([[0.2, 0.8], [0.7, 0.3]]),
        jnp.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]]),
    )
    params = jaxem.MixtureParams(jnp.array([0.4, 0.6]), families.CategoricalParams(tables))
    x = np.array([[0, 0], [0, 2], [1, 1], [1, 1]], float)
    weight = np.array([3.0, 5.0, 2.0, 1.0])
    with pytest.warns(UserWarning, match="7 parameters.*6 cells"):
        report = jaxem.latent_classes(model, params, x, sample_weight=weight)
    g2 = chi2 = 0.0
    for a, b in itertools.product(range(2), range(3)):
        expected = 11 * sum(
            w * float(tables[0][j, a] * tables[1][j, b]) for j, w in enumerate((0.4, 0.6))
        )
        seen = float(weight[(x == [a, b]).all(1)].sum())
        g2 += 2 * seen * np.log(seen / expected) if seen else 0.0
        chi2 += (seen - expected) ** 2 / expected
    np.testing.assert_allclose([report.g2, report.chi2], [g2, chi2], rtol=1e-12)
    p = np.asarray(jaxem.predict_proba(model, params, x))
    disorder = -(weight[:, None] * p * np.log(p)).sum() / (11 * np.log(2))
    np.testing.assert_allclose(report.entropy_r2, 1 - disorder)
    assert report.degrees_of_freedom == -2 and np.isnan(report.p_g2)


def test_holes_leave_no_table_to_compare_with(lsat):
    model, result, x = lsat
    holes = x.copy()
    holes[3, 2] = np.nan
    report = jaxem.latent_classes(model, result.params, holes)
    assert np.isnan(report.g2) and np.isnan(report.chi2) and 0 < report.entropy_r2 < 1
    assert "G^2" not in str(report)


def test_rows_of_nothing_but_holes_change_nothing(lsat):
    model, result, x = lsat
    expected = jaxem.latent_classes(model, result.params, x)
    more = np.concatenate([x, np.full((40, x.shape[1]), np.nan)])
    report = jaxem.latent_classes(model, result.params, more)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12),
        report._replace(columns=None), expected._replace(columns=None),
    )  # fmt: skip


def test_other_families_have_no_classes():
    model = jaxem.Mixture(families.Poisson(), 1)
    with pytest.raises(ValueError, match="Categorical or Bernoulli"):
        jaxem.latent_classes(model, None, np.ones((3, 1)))


def test_columns_are_called_as_in_the_frame_and_categories_as_told(lsat):
    model, result, x = lsat
    frame = pandas.DataFrame(x, columns=list("abcde"))
    report = jaxem.latent_classes(model, result.params, frame, levels={"b": ("wrong", "right")})
    assert report.columns == tuple("abcde")
    text = str(report)
    assert "a = 1" in text and "b = right" in text and "b = 1" not in text
    plain = jaxem.latent_classes(model, result.params, x)
    np.testing.assert_array_equal(report.items, plain.items)


def test_classes_are_called_as_the_model_calls_them(lsat):
    components = families.BernoulliParams(np.array([[0.2] * 5, [0.8] * 5]))
    params = jaxem.MixtureParams(np.array([0.4, 0.6]), components)
    model = jaxem.Mixture(families.Bernoulli(), 2, names=("weak", "strong"))
    report = jaxem.latent_classes(model, params, datasets.load_lsat().x)
    assert str(report).splitlines()[0].split() == ["class", "weak", "strong"]
