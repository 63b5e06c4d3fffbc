"""Tables of results as text: cells of a column stand under one another."""

from jaxem.core import text_tables


def test_cells_stand_under_one_another():
    rows = [("", "n", "what"), ("first", "1", "a"), ("b", "1000", "long one")]
    assert text_tables.lines(rows, left=(0, 2)) == [
        "          n  what",
        "first     1  a",
        "b      1000  long one",
    ]
