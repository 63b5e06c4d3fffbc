"""Common variances of columns with few values are told; a prior or more values need no word."""

import warnings

import jax
import numpy as np
import pytest

import jaxem
from jaxem.core import ties
from jaxem.families import Gaussian, GaussianPrior, LinearRegression, Product

RNG = np.random.default_rng(0)
GRADES = np.repeat(np.arange(5.0), 12)
X = np.stack([GRADES, RNG.normal(size=60)], axis=1)


def told(model, data, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = jaxem.fit(model, data, key=jax.random.key(0), n_init=2, max_iter=3, **options)
    texts = [str(warning.message) for warning in caught]
    assert set(texts) <= set(result.provenance.remarks)
    return [text for text in texts if "distinct values" in text]


@pytest.mark.slow(but=("model0-data0",))
@pytest.mark.parametrize(
    ("model", "data"),
    [
        (jaxem.Mixture(Gaussian("tied"), 5), X),
        (jaxem.HMM(Gaussian("tied"), 6), X),
        (jaxem.Mixture(Gaussian("tied", missing=True), 5), np.where(X[7, 1] == X, np.nan, X)),
        (jaxem.Mixture(LinearRegression(common_scale=True), 5), (X[:, 1:], GRADES)),
        (jaxem.Mixture(Product({"a": Gaussian("tied")}), 5), {"a": X}),
    ],
)
def test_as_many_components_as_values_are_told(model, data):
    (text,) = told(model, data)
    assert "5 distinct values" in text and "without bound" in text


@pytest.mark.slow
@pytest.mark.parametrize("model", [Gaussian("tied"), Gaussian("diag")], ids=repr)
def test_fewer_components_or_own_variances_are_not(model):
    k = 4 if model == Gaussian("tied") else 5
    assert not told(jaxem.Mixture(model, k), X)


@pytest.mark.slow
def test_nor_where_a_prior_bounds_the_likelihood():
    prior = jaxem.MixturePrior(components=GaussianPrior(degrees_of_freedom=4.0, scale=1.0))
    assert not told(jaxem.Mixture(Gaussian("tied"), 5), X, prior=prior)


def test_rows_of_weight_0_are_no_values():
    weight = np.where(GRADES < 3, 1.0, 0.0)
    assert not ties.remarks(X, np.ones(60), None, 4)
    (text,) = ties.remarks(X, weight, ("grade", "u"), 4)
    assert "column grade has 3 distinct values" in text
