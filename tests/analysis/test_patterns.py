"""Patterns of missing cells, counted row by row."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from jaxem.analysis.patterns import missing_patterns


@pytest.fixture(scope="module")
def x():
    x = np.random.default_rng(0).normal(size=(200, 11))
    x[np.random.default_rng(1).random(x.shape) < np.linspace(0, 0.4, 11)] = np.nan
    x[:3] = np.nan
    return x


def test_every_row_is_counted_in_its_pattern(x):
    found = missing_patterns(x)
    expected = Counter(tuple(row) for row in np.isnan(x))
    assert {tuple(p): n for p, n in zip(found.missing, found.rows, strict=True)} == expected
    assert np.all(np.diff(found.rows) <= 0)
    np.testing.assert_array_equal(found.cells, np.isnan(x).sum(0))
    assert found.n_rows == 200 and found.n_incomplete == np.isnan(x).any(1).sum()
    assert found.n_empty == np.isnan(x).all(1).sum() >= 3


def test_the_more_complete_of_two_as_frequent_comes_first():
    x = np.array([[np.nan, np.nan], [1, np.nan], [np.nan, 2], [3, 4]])
    expected = [[False, False], [True, False], [False, True], [True, True]]
    np.testing.assert_array_equal(missing_patterns(x).missing, expected)


def test_pairs_that_no_row_has_both_of():
    a, b, gone = np.arange(6.0), np.arange(6.0), np.full(6, np.nan)
    a[::2], b[1::2] = np.nan, np.nan
    found = missing_patterns(np.stack([a, b, np.ones(6), gone], axis=1), list("abcd"))
    assert found.never_together == (("a", "b"),)  # d is never there at all


def test_names_and_blocks(x):
    assert missing_patterns(x[:, 0]).columns == ("x",)
    assert missing_patterns(x[:, :2]).columns == ("column 0", "column 1")
    frame = pd.DataFrame({"u": x[:, 1], "v": x[:, 2]})
    found = missing_patterns({"b": x[:, 3], "c": x[:, 4:6], "a": frame})
    assert found.columns == ("u", "v", "b", "c 0", "c 1")
    np.testing.assert_array_equal(found.cells, np.isnan(x[:, 1:6]).sum(0))


def test_bad_input(x):
    with pytest.raises(ValueError, match="names has 2 names, x has 11 columns"):
        missing_patterns(x, ["a", "b"])
    with pytest.raises(ValueError, match="different numbers of rows"):
        missing_patterns({"a": x, "b": x[:5]})
    with pytest.raises(ValueError, match="holds text"):
        missing_patterns(np.array([["a"]]))
