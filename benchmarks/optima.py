"""Fits whose best optimum some starts find and others don't."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import jaxem
from jaxem import datasets
from jaxem.families import Categorical, Gaussian, Poisson, StudentT

SAME = 1e-6  # relative, of log-likelihoods


def problem(name: str) -> tuple[Any, Any]:
    """-> (model, x)"""
    return _known()[name]


def names() -> Iterator[str]:
    return iter(_known())


def finds(values: np.ndarray, best: float) -> np.ndarray:
    """Which log-likelihoods are the best."""
    return values >= best - SAME * abs(best)


def regular(starts: Any) -> np.ndarray:
    """The log-likelihood of each start, -inf where it collapsed or failed."""
    bad = np.isin(starts.status, (jaxem.Status.DEGENERATE, jaxem.Status.NONFINITE))
    return np.where(bad, -np.inf, np.asarray(starts.log_likelihood))


def _known() -> dict[str, tuple[Any, Any]]:
    counts = datasets.load_earthquakes().x[:, 1:].astype(int)
    answers = datasets.load_lsat().x.astype(int)
    galaxies, faithful = datasets.load_galaxies().x, datasets.load_faithful().x
    iris = datasets.load_iris().x
    crabs = datasets.load_crabs().x[:, -5:]  # the lengths, without the sex

    def gaussian(structure: str, k: int) -> Any:
        return jaxem.Mixture(Gaussian(structure), k)

    return {
        "galaxies, k 2, tied": (gaussian("tied", 2), galaxies),
        "galaxies, k 4": (gaussian("full", 4), galaxies),
        "galaxies, k 5, tied": (gaussian("tied", 5), galaxies),
        "faithful, k 2": (gaussian("full", 2), faithful),
        "faithful, k 3": (gaussian("full", 3), faithful),
        "faithful, k 3, diag": (gaussian("diag", 3), faithful),
        "faithful, k 3, VVE": (gaussian("VVE", 3), faithful),
        "faithful, k 3, EVV": (gaussian("EVV", 3), faithful),
        "iris, k 2": (gaussian("full", 2), iris),
        "iris, k 3": (gaussian("full", 3), iris),
        "iris, k 3, tied": (gaussian("tied", 3), iris),
        "iris, k 4": (gaussian("full", 4), iris),
        "iris, k 3, t": (jaxem.Mixture(StudentT(degrees_of_freedom=4.0), 3), iris),
        "crabs, k 4, tied": (gaussian("tied", 4), crabs),
        "crabs, k 4, EEV": (gaussian("EEV", 4), crabs),
        "lsat, k 3": (jaxem.Mixture(Categorical(2), 3), answers),
        "earthquakes, 3 states": (jaxem.HMM(Poisson(), 3), counts),
        "earthquakes, 4 states": (jaxem.HMM(Poisson(), 4), counts),
    }
