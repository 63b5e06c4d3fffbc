"""Data is read once: by each verb, or by `read` for all of them."""

import jax
import numpy as np
import pandas
import pytest

import jaxem
from jaxem import HMM, Mixture
from jaxem.families import Gaussian, Poisson, Product
from jaxem.models import packing
from laws.compare import close

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)) + 4.0 * (np.arange(40) % 2)[:, None]
TWO = Mixture(Gaussian("diag"), 2)
CHAIN = HMM(Gaussian("diag"), 2)
SHORT = {"key": KEY, "n_init": 1, "max_iter": 3}


@pytest.fixture(scope="module")
def params():
    return jaxem.fit(TWO, X, **SHORT).params


@pytest.fixture(scope="module")
def chain():
    return jaxem.fit(CHAIN, X, **SHORT).params


class Counted:
    """An array that is counted as it is read."""

    def __init__(self, x):
        self.x, self.n = x, 0

    def __array__(self, dtype=None, copy=None):
        self.n += 1
        return np.array(self.x, dtype)


def numbers_of(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array | np.ndarray)]


VERBS = {
    "fit": lambda model, params, x: jaxem.fit(model, x, **SHORT),
    "em": lambda model, params, x: jaxem.em(model, params, x, max_iter=3),
    "e_step": lambda model, params, x: jaxem.e_step(model, params, x),
    "log_prob": lambda model, params, x: jaxem.log_prob(model, params, x),
    "predict": lambda model, params, x: jaxem.predict(model, params, x),
    "predict_proba": lambda model, params, x: jaxem.predict_proba(model, params, x),
    "log_likelihood": lambda model, params, x: jaxem.log_likelihood(model, params, x),
    "em_trace": lambda model, params, x: jaxem.em_trace(model, params, x, 2),
    "bic": lambda model, params, x: jaxem.bic(model, params, x),
    "icl": lambda model, params, x: jaxem.icl(model, params, x),
    "diagnose": lambda model, params, x: jaxem.diagnose(model, params, x),
    "impute": lambda model, params, x: jaxem.impute(model, params, x),
    "impute draws": lambda model, params, x: jaxem.impute(model, params, x, key=KEY, n_draws=2),
    "bootstrap": lambda model, params, x: jaxem.bootstrap(
        model, params, x, key=KEY, n_boot=2, parametric=True, max_iter=2
    ),
    "lr_test": lambda model, params, x: jaxem.lr_test(
        model, x, key=KEY, n_boot=2, n_init=1, max_iter=2
    ),
    "select": lambda model, params, x: jaxem.select(
        [model.with_n_components(k) for k in (1, 2)], x, **SHORT
    ),
    "viterbi": lambda model, params, x: jaxem.viterbi(model, params, x),
    "filter_states": lambda model, params, x: jaxem.filter_states(model, params, x),
    "forecast": lambda model, params, x: jaxem.forecast(model, params, x),
    "sample_paths": lambda model, params, x: jaxem.sample_paths(model, params, x, key=KEY),
    "occupancy": lambda model, params, x: jaxem.occupancy(model, params, x),
}
OF_CHAINS = ("viterbi", "filter_states", "forecast", "sample_paths", "occupancy")
CASES = [(name, TWO) for name in VERBS if name not in OF_CHAINS] + [
    (name, CHAIN) for name in ("em", "predict_proba", "log_prob", "impute draws", *OF_CHAINS)
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "model"), CASES, ids=lambda of: getattr(of, "__name__", str(of)[:7])
)
def test_every_verb_reads_once_and_a_dataset_is_not_read(verb, model, params, chain, monkeypatch):
    own, calls = params if model is TWO else chain, {"layout": 0, "read": 0, "params": 0}

    def counting(kind, function):
        def counted(*args, **kwargs):
            calls[kind] += 1
            return function(*args, **kwargs)

        return counted

    data = jaxem.read(model, X)
    layout = counting("layout", packing.layout)
    monkeypatch.setattr(jaxem.models.sequences, "layout", layout)
    monkeypatch.setattr(Gaussian, "read", counting("read", Gaussian.read))
    monkeypatch.setattr(type(model), "as_params", counting("params", type(model).as_params))
    given = Counted(X)
    found = VERBS[verb](model, own, given)
    assert given.n == 1 and calls["read"] == 1
    assert calls["layout"] == (model is CHAIN) and calls["params"] <= 1
    calls.update(layout=0, read=0, params=0)
    again = VERBS[verb](model, own, data)
    assert calls["layout"] == calls["read"] == 0 and calls["params"] <= 1
    close(*(numbers_of(of) for of in (again, found)), rtol=0, atol=0)


def test_a_dataset_is_its_own():
    """What happens to the arrays, or the frame, afterwards changes nothing in it."""
    frame = pandas.DataFrame(X, columns=["a", "b"])
    x, weight = X.copy(), np.ones(40)
    one, two = jaxem.read(TWO, x, weight), jaxem.read(TWO, frame)
    expected = jaxem.fit(TWO, X, **SHORT)
    x[:], weight[:], frame.loc[:] = 0, 7, 0
    for data in (one, two):
        found = jaxem.fit(TWO, data, **SHORT)
        close(found.params, expected.params, rtol=0, atol=0)
    assert found.provenance.columns == ("a", "b")
    holed = Mixture(Gaussian("diag", missing=True), 2)
    frame = pandas.DataFrame(np.where(np.arange(80).reshape(40, 2) % 7, X, np.nan))
    data, before = jaxem.read(holed, frame), frame.to_numpy(copy=True)
    frame.loc[:] = 0
    filled = jaxem.impute(holed, expected.params, data)
    seen = ~np.isnan(before)
    np.testing.assert_array_equal(np.asarray(filled)[seen], before[seen])


@pytest.mark.slow
def test_a_dataset_serves_models_that_read_alike(params):
    data = jaxem.read(TWO, X)
    assert "40 rows" in repr(data) and len(data) == 40
    assert jaxem.fit(Mixture(Gaussian("full"), 3), data, **SHORT).restarts.status.shape == (1,)
    for other in (Mixture(Poisson(), 2), CHAIN, Mixture(Gaussian("diag", missing=True), 2)):
        with pytest.raises(ValueError, match="read it again"):
            jaxem.fit(other, data, **SHORT)
    named = Product({"a": Gaussian("diag"), "b": Gaussian("full")})
    blocks = jaxem.read(Mixture(named, 2), {"a": X, "b": X})
    jaxem.fit(Mixture(named, 1), blocks, **SHORT)
    known = jaxem.read(TWO, X, labels=np.arange(40) % 2)
    with pytest.raises(ValueError, match="read it again"):
        jaxem.fit(TWO.with_n_components(1), known, **SHORT)
    with pytest.raises(ValueError, match="has its sample_weight"):
        jaxem.fit(TWO, data, sample_weight=np.ones(40), **SHORT)
    with pytest.raises(ValueError, match="has its lengths"):
        jaxem.log_prob(TWO, params, data, lengths=[40])


def test_weights_and_labels_of_a_dataset_are_those_of_the_fit():
    weight, labels = RNG.integers(0, 3, 40).astype(float), np.where(np.arange(40) < 9, 0, -1)
    data = jaxem.read(TWO, X, weight, labels)
    found = jaxem.fit(TWO, data, **SHORT)
    close(found.params, jaxem.fit(TWO, X, sample_weight=weight, labels=labels, **SHORT).params)


def test_checks_are_made_once(monkeypatch):
    """Those of a fit too, such as whether there are rows enough."""
    data = jaxem.read(TWO, X)
    first = jaxem.fit(TWO, data, **SHORT)
    checks, placement = jaxem.core.checks, jaxem.core.placement
    names = ("finite", "enough_rows", "weights"), ("blocks", "host_blocks")
    for module, own in zip((checks, placement), names, strict=True):
        for name in own:
            monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("checked again"))
    close(jaxem.fit(TWO, data, **SHORT).params, first.params, rtol=0, atol=0)
