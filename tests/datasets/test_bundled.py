import numpy as np
import pytest

from jaxem.datasets import load_faithful, load_galaxies, load_iris

LOADERS = (load_faithful, load_iris, load_galaxies)


@pytest.mark.parametrize("load", LOADERS)
def test_is_a_finite_float64_table_with_a_name_for_each_column_and_an_origin(load):
    data = load()
    assert data.x.dtype == np.float64
    assert np.isfinite(data.x).all()
    assert data.x.shape[1] == len(data.columns)
    assert "19" in data.origin


def test_faithful_has_the_published_means():
    data = load_faithful()
    assert data.x.shape == (272, 2)
    assert data.columns == ("eruptions", "waiting")
    assert data.labels is None
    # R: summary(faithful)
    np.testing.assert_allclose(data.x.mean(0), [3.488, 70.897], atol=5e-4)
    np.testing.assert_array_equal(data.x.min(0), [1.6, 43.0])
    np.testing.assert_array_equal(data.x.max(0), [5.1, 96.0])


def test_iris_has_fishers_means_of_each_species():
    data = load_iris()
    assert data.x.shape == (150, 4)
    assert data.columns == ("sepal_length", "sepal_width", "petal_length", "petal_width")
    assert data.labels is not None
    np.testing.assert_array_equal(np.bincount(data.labels), [50, 50, 50])
    means = [data.x[data.labels == k].mean(0) for k in range(3)]
    # Fisher (1936), table II
    expected = [
        [5.006, 3.428, 1.462, 0.246],
        [5.936, 2.770, 4.260, 1.326],
        [6.588, 2.974, 5.552, 2.026],
    ]
    np.testing.assert_allclose(means, expected, atol=1e-9)


def test_galaxies_has_the_corrected_78th_value_in_1000_km_per_second():
    data = load_galaxies()
    assert data.x.shape == (82, 1)
    assert data.columns == ("velocity",)
    assert data.x[77, 0] == 26.96
    assert (np.diff(data.x[:, 0]) >= 0).all()
    assert data.x.min() > 9 and data.x.max() < 35
