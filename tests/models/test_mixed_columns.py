"""Frames with columns of text: their codes are pandas' own, and the fit that of the codes."""

import jax
import numpy as np
import pandas
import polars
import pyarrow
import pytest

import jaxem
from jaxem.families import Categorical, Gaussian, Poisson, Product

RNG = np.random.default_rng(0)
OLD = RNG.random(80) < 0.4
PEOPLE = pandas.DataFrame(
    {
        "height": np.where(OLD, 160, 180) + RNG.normal(0, 5, 80),
        "country": RNG.choice(["FR", "DE", "IT"], 80),
        "visits": RNG.poisson(np.where(OLD, 9, 2)),
        "smoker": np.where(RNG.random(80) < np.where(OLD, 0.9, 0.1), "yes", "no"),
    },
    index=np.arange(80)[::-1],
)
HOLED = PEOPLE.copy()
for place, column in enumerate(["height", "country", "smoker"]):
    HOLED.loc[HOLED.index % 9 == place, column] = None


def in_polars(frame):
    return polars.from_pandas(frame)


def in_arrow(frame):
    return pyarrow.Table.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize("given", [pandas.DataFrame, in_polars, in_arrow])
def test_text_becomes_codes_beside_its_row(given):
    columns = jaxem.mixed_columns(given(HOLED), counts=["visits"])
    expected = {"numbers": Gaussian("full", missing=True), "counts": Poisson(),
                "categories": Categorical((3, 2))}  # fmt: skip
    assert columns.family == Product(expected)
    assert columns.levels == {"country": ("DE", "FR", "IT"), "smoker": ("no", "yes")}
    x = columns.read(given(HOLED))
    assert all(type(part) is type(given(HOLED)) for part in x.values())
    codes = pandas.DataFrame(
        {name: HOLED[name].astype("category").cat.codes for name in columns.levels}
    )
    found = np.column_stack([np.asarray(x["categories"][name]) for name in columns.levels])
    np.testing.assert_array_equal(found, codes)
    if given is pandas.DataFrame:
        assert x["categories"].index.equals(HOLED.index)


def test_the_fit_is_that_of_codes_by_hand():
    columns = jaxem.mixed_columns(HOLED, counts=["visits"])
    model = jaxem.Mixture(columns.family, 2)
    fits = []
    by_hand = {
        "numbers": HOLED[["height"]].to_numpy(),
        "counts": HOLED[["visits"]].to_numpy(),
        "categories": np.column_stack(
            [HOLED[name].astype("category").cat.codes for name in columns.levels]
        ),
    }
    for x in (columns.read(HOLED), by_hand):
        fits.append(jaxem.fit(model, x, key=jax.random.key(0), n_init=2, max_iter=20))
    assert float(fits[0].log_likelihood) == float(fits[1].log_likelihood)
    table = fits[0].summary(levels=columns.levels)
    named = ["country P(FR)", "smoker P(yes)", "visits rate", "height mean"]
    assert set(named) <= set(table.columns)
    labels = jaxem.predict(model, fits[0].params, columns.read(HOLED))
    assert labels.index.equals(HOLED.index)


def test_one_kind_of_columns_is_a_family_of_its_own():
    columns = jaxem.mixed_columns(PEOPLE[["country", "smoker"]])
    assert columns.family == Categorical((3, 2))
    assert list(columns.read(PEOPLE).columns) == ["country", "smoker"]


def test_the_order_of_categories_is_kept_and_numbers_may_be_categories():
    size = pandas.Categorical(["small", "large", None], ["small", "medium", "large"], ordered=True)
    frame = pandas.DataFrame(
        {"size": size, "grade": [2.0, np.nan, 1.0], "left": [True, False, True]}
    )
    columns = jaxem.mixed_columns(frame, categories=["grade"])
    assert columns.levels == {"size": ("small", "large"), "grade": ("1", "2"),
                              "left": ("False", "True")}  # fmt: skip
    found = np.asarray(columns.read(frame))
    np.testing.assert_array_equal(found, [[0, 1, 1], [1, -1, 0], [-1, 0, 1]])


def test_new_values_are_refused_or_holes():
    columns = jaxem.mixed_columns(PEOPLE[["country", "smoker"]])
    new = PEOPLE[["country", "smoker"]].replace("DE", "ES")
    with pytest.raises(ValueError, match=r"country .* not known: ES; it has DE, FR, IT.*unseen="):
        columns.read(new)
    found = columns.read(new, unseen="missing")["country"]
    np.testing.assert_array_equal(found == -1, PEOPLE["country"] == "DE")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"counts": ["visit"]}, "no column visit; it has height, country"),
        ({"counts": ["visits"], "categories": ["visits"]}, "both in counts and in categories"),
    ],
)
def test_what_cannot_be_taken_says_why(options, said):
    with pytest.raises(ValueError, match=said):
        jaxem.mixed_columns(PEOPLE, **options)


def test_what_is_no_frame_or_holds_nothing_says_so():
    with pytest.raises(ValueError, match="ndarray; give one of pandas"):
        jaxem.mixed_columns(np.ones((3, 2)))
    with pytest.raises(ValueError, match="column country holds nothing"):
        jaxem.mixed_columns(PEOPLE.assign(country=None), categories=["country"])
    with pytest.raises(ValueError, match="'error', 'missing'"):
        jaxem.mixed_columns(PEOPLE).read(PEOPLE, unseen="drop")


def test_columns_that_tell_nothing_of_groups_are_refused():
    n = 30
    frame = pandas.DataFrame({"size": np.arange(n) % 7.0, "name": [f"row {i}" for i in range(n)]})
    with pytest.raises(ValueError, match="another value in every row: name; leave them out"):
        jaxem.mixed_columns(frame)
    jaxem.mixed_columns(frame.iloc[:10])  # of few rows all may differ
    when = frame[["size"]].assign(since=pandas.date_range("2020-01-01", periods=n))
    with pytest.raises(ValueError, match="dates or times: since; leave them out, or give numbers"):
        jaxem.mixed_columns(when)
    with pytest.raises(ValueError, match="dates or times: since"):
        jaxem.mixed_columns(polars.from_pandas(when))


def test_a_frame_that_was_not_read_says_how():
    frame = pandas.DataFrame({"size": np.arange(9.0), "colour": list("abcabcabc")})
    model = jaxem.Mixture(jaxem.mixed_columns(frame).family, 2)
    with pytest.raises(ValueError, match=r"jaxem.mixed_columns\(frame\).read\(frame\)"):
        jaxem.read(model, frame)
