"""Checked fits as the verbs make them, for tests that cut them."""

from jaxem.core.dataset import as_dataset
from jaxem.fitting.options import Options, Starts
from jaxem.fitting.plan import prepare


def planned(model, x, init="portfolio", key=None, n_init=1, *, data=(), padded_k=None, **options):
    """data: sample_weight, labels and lengths."""
    begin = Starts(init, key, n_init)
    return prepare(as_dataset(model, x, *data), Options(**options), begin, padded_k)
