"""Checked fits as the verbs make them, for tests that cut them."""

from jaxem.core.dataset import as_dataset
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import prepare


def planned(model, x, init="portfolio", key=None, n_init=1, *, sample_weight=None, labels=None,
            lengths=None, padded_k=None, **options):  # fmt: skip
    data = as_dataset(model, x, sample_weight, labels, lengths)
    return prepare(data, Options(**options), Starts(init, key, n_init), padded_k)
