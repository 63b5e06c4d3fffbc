"""What a model tells of its rows, whatever the form in which they are kept."""

import numpy as np
import pytest

import jaxem
from jaxem.core import emissions
from jaxem.families import Gaussian, Poisson, Product

HOLES = np.where(np.arange(600).reshape(300, 2) % 5 == 0, np.nan, 1.0)
BLOCKS = {"a": HOLES, "b": np.ones(300)}


@pytest.mark.parametrize(
    ("model", "x", "n"),
    [
        (jaxem.Mixture(Gaussian("full"), 2), np.ones((12, 3)), 3),
        (jaxem.Mixture(Gaussian("full", missing=True), 2), HOLES, 2),
        (jaxem.HMM(Gaussian("full", missing=True), 2), [HOLES, HOLES[:5]], 2),
        (jaxem.Mixture(Product({"a": Gaussian(missing=True), "b": Poisson()}), 2), BLOCKS, 3),
    ],
    ids=["whole", "tiles", "lanes", "blocks"],
)
def test_columns_are_those_that_were_given(model, x, n):
    assert emissions.n_columns(model, jaxem.read(model, x).for_fit) == n
