"""Columns of text in files: their levels over all files, and fits that are those in memory."""

import re

import jax
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxem
from jaxem import families, sources
from jaxem.core import filled_rows, source
from jaxem.core.source import joined

KEY = jax.random.key
N = 900
RNG = np.random.default_rng(0)
GROUP = np.arange(N) % 2
COLOUR = np.where(RNG.random(N) < np.where(GROUP, 0.8, 0.3), "red", "blue").astype(object)
COLOUR[RNG.random(N) < 0.1] = "\u00e4ther"
COLOUR[::17] = None
YES = (RNG.random(N) < np.where(GROUP, 0.9, 0.2)).astype(object)
YES[::23] = None
SIZE = RNG.normal(size=N) + 3 * GROUP
COLOUR[600:][COLOUR[600:] == "red"] = "green"  # in the last file alone


def arrow(first, stop, form):
    """form: a type of text that files may have."""
    colour = pa.array(COLOUR[first:stop], pa.string())
    colour = colour.dictionary_encode() if form == "dictionary" else colour.cast(form)
    yes = pa.array(YES[first:stop], pa.bool_())
    return pa.table({"colour": colour, "yes": yes, "size": SIZE[first:stop]})


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three files, each with another type of text."""
    monkeypatch.setattr(source, "WHOLE", 1 << 9)
    monkeypatch.setattr(filled_rows, "_MOST", 0)
    for number, form in enumerate((pa.string(), "dictionary", pa.large_string())):
        own = arrow(300 * number, 300 * (number + 1), form)
        pq.write_table(own, tmp_path / f"x-{number}.parquet", row_group_size=100)
    return tmp_path / "x-*.parquet"


def coded(values):
    """By NumPy: levels and codes, NaN for what is missing."""
    there = np.array([v is not None for v in values])
    texts = np.array(["" if v is None else str(v).lower() if v in (True, False) else v
                      for v in values])  # fmt: skip
    levels, place = np.unique(texts[there], return_inverse=True)
    codes = np.full(len(values), np.nan)
    codes[there] = place
    return tuple(levels.tolist()), codes


def test_levels_are_those_of_all_files_in_order(files):
    found = sources.parquet(files, ["colour", "yes"], categories=["yes", "colour"])
    levels, codes = zip(coded(COLOUR), coded(YES), strict=True)
    assert found.levels == {"colour": levels[0], "yes": ("false", "true")}
    assert list(found.levels) == ["colour", "yes"] and "green" in levels[0]
    x = joined(list(found.pieces())).x
    np.testing.assert_array_equal(x, np.stack(codes, axis=1))
    np.testing.assert_array_equal(joined(list(found.pieces(705))).x, x[705:])
    reader = sources.arrow(
        lambda: pa.RecordBatchReader.from_batches(
            arrow(0, 1, pa.string()).schema, arrow(0, N, pa.string()).to_batches(64)
        ),
        ["colour", "yes"],
        categories=["colour", "yes"],
    )
    assert reader.levels == found.levels
    np.testing.assert_array_equal(joined(list(reader.pieces())).x, x)


def test_numbers_are_levels_by_their_value(tmp_path):
    for number, values in enumerate(([10, 2], [9, None])):
        pq.write_table(pa.table({"a": pa.array(values, pa.int8())}), tmp_path / f"{number}.parquet")
    pq.write_table(pa.table({"a": pa.nulls(2)}), tmp_path / "2.parquet")  # not a single value
    found = sources.parquet(tmp_path / "*.parquet", categories="a")
    assert found.levels == {"a": ("2", "9", "10")}
    expected = [2, 0, 1, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(joined(list(found.pieces())).x[:, 0], expected)


def test_words_stand_for_what_is_missing(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": ["NA", "b", " NA ", "c"]}), path)
    found = sources.parquet(path, categories=["a"], missing=("NA",))
    assert found.levels == {"a": ("b", "c")}
    np.testing.assert_array_equal(joined(list(found.pieces())).x[:, 0], [np.nan, 0, np.nan, 1])


CLASSES = families.Categorical((4, 2))
MIXED = families.Product({"size": families.Gaussian("diag"), "colour": families.Categorical(4)})
OPTIONS = {"key": KEY(1), "n_init": 2, "max_iter": 15, "block_size": 128}


@pytest.mark.slow(but=("classes",))
@pytest.mark.parametrize("name", ["classes", "mixed", "truth"])
def test_a_fit_of_text_has_the_bits_of_its_codes_in_memory(name, files):
    family, columns, x = {
        "classes": (CLASSES, ["colour", "yes"], np.stack([coded(COLOUR)[1], coded(YES)[1]], 1)),
        "mixed": (MIXED, {"size": ["size"], "colour": ["colour"]},
                  {"size": SIZE[:, None], "colour": coded(COLOUR)[1][:, None]}),
        "truth": (families.Bernoulli(), ["yes"], coded(YES)[1][:, None]),
    }[name]  # fmt: skip
    model = jaxem.Mixture(family, 2)
    text = [column for column in ("colour", "yes") if column in str(columns)]
    found = jaxem.fit(model, sources.parquet(files, columns, categories=text), **OPTIONS)
    expected = jaxem.fit(model, x, **OPTIONS)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_value_that_is_no_level_is_an_error_that_names_it(files, tmp_path):
    known = sources.parquet(files, ["colour"], categories=["colour"]).levels
    path = tmp_path / "new.parquet"
    pq.write_table(pa.table({"colour": ["red", "pink", None]}), path)
    new = sources.parquet(path, categories=known)
    params = jaxem.Mixture(families.Categorical(4), 1)
    said = r"new\.parquet, rows 0 to 2: column colour has values that are none of its levels: 'pink"
    with pytest.raises(ValueError, match=said):
        jaxem.fit(params, new, key=KEY(0))
    pq.write_table(pa.table({"colour": ["red", "green"]}), path)
    (piece,) = sources.parquet(path, categories=known).pieces()
    np.testing.assert_array_equal(
        piece.x[:, 0], [known["colour"].index("red"), known["colour"].index("green")]
    )


def test_what_cannot_be_categories_is_said(files, tmp_path):
    with pytest.raises(ValueError, match=r"not numeric: colour; .* in categories= too"):
        sources.parquet(files)
    with pytest.raises(ValueError, match="categories names hue, and the columns are colour, yes"):
        sources.parquet(files, ["colour", "yes"], categories=["hue"])
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.table({"a": [[1], [2]]}), path)
    with pytest.raises(ValueError, match="columns that are no categories: a"):
        sources.parquet(path, categories=["a"])
    pq.write_table(pa.table({"a": [True]}), path)
    pq.write_table(pa.table({"a": [1]}), other)
    said = f"column a is of yes and no in {re.escape(str(path))}, and of numbers in"
    with pytest.raises(ValueError, match=said):
        sources.parquet([path, other], categories=["a"])


def test_too_many_levels_are_no_categories(tmp_path, monkeypatch):
    monkeypatch.setattr(sources.categories, "MOST", 3)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": list("abcd")}), path)
    with pytest.raises(ValueError, match="column a has over 3 values"):
        list(sources.parquet(path, categories=["a"]).pieces())


def test_other_levels_make_another_fingerprint(files):
    told = [
        sources.parquet(files, ["colour"], categories=own).fingerprint
        for own in (["colour"], {"colour": ["blue", "green", "red", "\u00e4ther"]})
    ]
    assert told[0] != told[1]
