"""Loaders of the csv files that lie beside this one; NumPy and the standard library only."""

import csv
from importlib import resources
from typing import NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """Rows by columns, with where they come from.

    x: (n, d) float64. columns: the d names. labels: (n,) known classes from 0, or None.
    origin: the publication.
    """

    x: np.ndarray
    columns: tuple[str, ...]
    labels: np.ndarray | None
    origin: str


def load_faithful() -> Dataset:
    """272 eruptions of the Old Faithful geyser: how long each took, and the wait for the next.

    x: (272, 2), eruptions and waiting, both in minutes. No labels.
    Source: W. Härdle (1991), Smoothing Techniques with Implementation in S, Springer.
    """
    return _load(
        "faithful.csv",
        "W. Härdle (1991), Smoothing Techniques with Implementation in S, Springer",
    )


def load_iris() -> Dataset:
    """150 iris flowers of three species, 50 each.

    x: (150, 4), sepal length and width, petal length and width, in cm.
    labels: (150,), 0 setosa, 1 versicolor, 2 virginica.
    Source: R. A. Fisher (1936), Ann. Eugen. 7, 179-188, from measurements by E. Anderson; the
    corrected values.
    """
    return _load(
        "iris.csv",
        "R. A. Fisher (1936), Ann. Eugen. 7, 179-188, from measurements by E. Anderson; "
        "the corrected values",
        label="species",
    )


def load_galaxies() -> Dataset:
    """Velocities of 82 galaxies that move away from us, from the Corona Borealis region.

    x: (82, 1), velocity in 1000 km/s. No labels.
    Source: M. Postman, J. P. Huchra and M. J. Geller (1986), Astron. J. 92, 1238-1247, as in
    K. Roeder (1990), J. Am. Stat. Assoc. 85, 617-624; the 78th value is 26.960, which some copies
    misprint as 26.690.
    """
    return _load(
        "galaxies.csv",
        "M. Postman, J. P. Huchra and M. J. Geller (1986), Astron. J. 92, 1238-1247, as in "
        "K. Roeder (1990), J. Am. Stat. Assoc. 85, 617-624; the 78th value is 26.960",
    )


def load_lsat() -> Dataset:
    """Answers of 1000 people to 5 questions of the Law School Admission Test, section 6.

    x: (1000, 5), 1 for a right answer, else 0. No labels.
    Source: R. D. Bock and M. Lieberman (1970), Psychometrika 35, 179-197.
    """
    return _load(
        "lsat6.csv",
        "R. D. Bock and M. Lieberman (1970), Psychometrika 35, 179-197",
    )


def load_crabs() -> Dataset:
    """200 rock crabs, Leptograpsus variegatus, 50 of each sex of two species; sizes in mm.

    x: (200, 6), male (1, else 0), frontal lobe FL, rear width RW, carapace length CL and width CW,
    body depth BD. labels: (200,), 0 blue, 1 orange.
    Source: N. A. Campbell and R. J. Mahon (1974), Aust. J. Zool. 22, 417-425.
    """
    return _load(
        "crabs.csv",
        "N. A. Campbell and R. J. Mahon (1974), Aust. J. Zool. 22, 417-425",
        label="species",
    )


def load_earthquakes() -> Dataset:
    """Major earthquakes (magnitude 7 and more) in the world, a year, from 1900 to 2006.

    x: (107, 2), year and count. No labels.
    Source: U.S. Geological Survey, as in W. Zucchini and I. L. MacDonald (2009), Hidden Markov
    Models for Time Series, Chapman & Hall, table 1.1.
    """
    return _load(
        "earthquakes.csv",
        "U.S. Geological Survey, as in W. Zucchini and I. L. MacDonald (2009), Hidden Markov "
        "Models for Time Series, Chapman & Hall, table 1.1",
    )


def _load(name: str, origin: str, label: str | None = None) -> Dataset:
    """A bundled csv file; the column `label` holds classes, numbered as they first appear."""
    text = resources.files("jaxem.datasets").joinpath(name).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    columns = tuple(column for column in rows[0] if column != label)
    x = np.array([[float(row[column]) for column in columns] for row in rows])
    if label is None:
        return Dataset(x, columns, None, origin)
    classes = list(dict.fromkeys(row[label] for row in rows))
    labels = np.array([classes.index(row[label]) for row in rows])
    return Dataset(x, columns, labels, origin)
