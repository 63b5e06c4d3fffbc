"""What components and states are called, wherever they are shown."""

import jax
import matplotlib
import numpy as np
import pandas
import pytest

import jaxem
from jaxem import families, plot
from jaxem.families import GaussianParams
from jaxem.models.mixture import MixtureParams
from jaxem.models.noise import Noise, NoisyMixtureParams

matplotlib.use("agg")

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (30, 2)), RNG.normal(4, 1, (20, 2))])
FRAME = pandas.DataFrame(X, columns=["a", "b"])
FAMILY = families.Gaussian("diag")
NAMED = jaxem.Mixture(FAMILY, 2, names=("short", "long"))
PLAIN = jaxem.Mixture(FAMILY, 2)
COMPONENTS = GaussianParams(np.array([[0.0, 0.1], [4.0, 3.9]]), np.ones((2, 2)))
PARAMS = MixtureParams(np.array([0.6, 0.4]), COMPONENTS)
CHAIN = jaxem.HMM(FAMILY, 2, names=["calm", "wild"])
OF_CHAIN = jaxem.HMMParams(PARAMS.weights, np.array([[0.9, 0.1], [0.2, 0.8]]), COMPONENTS)


def test_columns_of_probabilities():
    assert list(jaxem.predict_proba(NAMED, PARAMS, FRAME)) == ["short", "long"]
    assert list(jaxem.smooth(CHAIN, OF_CHAIN, FRAME)) == ["calm", "wild"]
    assert list(jaxem.filter_states(CHAIN, OF_CHAIN, FRAME)) == ["calm", "wild"]
    noisy = jaxem.Mixture(FAMILY, 2, noise=True, names=("short", "long"))
    box = Noise(np.array(0.1), X.min(axis=0), X.max(axis=0))
    shares = jaxem.predict_proba(noisy, NoisyMixtureParams(*PARAMS, box), FRAME)
    assert list(shares) == ["short", "long", "noise"]
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_models_that_differ_in_names_alone_are_one():
    assert PLAIN == NAMED and hash(PLAIN) == hash(NAMED) and PLAIN.names is None
    data = jaxem.read(PLAIN, FRAME)
    assert list(jaxem.predict_proba(NAMED, PARAMS, data)) == ["short", "long"]
    assert list(jaxem.predict_proba(PLAIN, PARAMS, data)) == ["component_0", "component_1"]


def test_other_numbers_of_components_have_no_names():
    assert NAMED.with_n_components(3).names is None and CHAIN.with_n_components(3).names is None
    assert NAMED.with_n_components(2).names == ("short", "long")
    assert CHAIN.with_n_components(2).names == ("calm", "wild")


def test_the_components_of_a_conditional_are_the_same():
    assert jaxem.conditional(NAMED, PARAMS, {0: 1.0})[0].names == ("short", "long")


@pytest.mark.parametrize("names", ["ab", ("a",), ("a", "a"), ("a", ""), ("a", 1)])
def test_names_that_cannot_be(names):
    for model in (jaxem.Mixture, jaxem.HMM):
        with pytest.raises(ValueError, match=r"names is .*; give 2 different names"):
            model(FAMILY, 2, names=names)


def test_noise_is_taken():
    with pytest.raises(ValueError, match="none of them 'noise'"):
        jaxem.Mixture(FAMILY, 2, noise=True, names=("a", "noise"))
    assert jaxem.Mixture(FAMILY, 2, names=("a", "noise")).names == ("a", "noise")


def test_files_keep_them(tmp_path):
    for model, params in ((NAMED, PARAMS), (CHAIN, OF_CHAIN), (PLAIN, PARAMS)):
        jaxem.save(tmp_path / "model", model, params)
        assert jaxem.load(tmp_path / "model")[0].names == model.names


def test_how_they_are_printed():
    assert (
        repr(NAMED) == "Mixture(family=Gaussian('diag'), n_components=2, names=('short', 'long'))"
    )
    assert repr(PLAIN) == "Mixture(family=Gaussian('diag'), n_components=2)"
    line = np.concatenate([X, np.full((8, 2), 9.0)])
    named = jaxem.Mixture(families.Gaussian("full"), 2, names=("cloud", "point"))
    start = GaussianParams(np.array([[1.0, 1.0], [9.0, 9.0]]), np.tile(np.eye(2), (2, 1, 1)))
    result = jaxem.em(named, MixtureParams(np.array([0.8, 0.2]), start), line)
    assert result.status == jaxem.Status.DEGENERATE
    assert "; point (" in result.explanation() and "component 1" not in result.explanation()


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_pictures(monkeypatch):
    import matplotlib.pyplot as plt

    def fresh():
        return plt.figure().subplots()

    for draw in (plot.density, plot.clusters, plot.responsibilities):
        told = legend(draw(NAMED, PARAMS, X, ax=fresh()))
        assert any(text.startswith("short (weight 0.6") for text in told), told
        assert not any("component" in text and "0" in text for text in told)
    told = legend(plot.decoded(CHAIN, OF_CHAIN, X, ax=fresh()))
    assert any(text.startswith("wild (") for text in told)
    ticks = plot.transition_matrix(CHAIN, OF_CHAIN, ax=fresh()).get_xticklabels()
    assert [text.get_text() for text in ticks] == ["calm", "wild"]
    plain = plot.transition_matrix(jaxem.HMM(FAMILY, 2), OF_CHAIN, ax=fresh()).get_xticklabels()
    assert [text.get_text() for text in plain] == ["0", "1"]
    assert any(
        text.startswith("component 0 (")
        for text in legend(plot.density(PLAIN, PARAMS, X, ax=fresh()))
    )
    plt.close("all")


@pytest.mark.slow
def test_they_are_carried_through_a_fit_and_jit():
    result = jaxem.fit(NAMED, FRAME, key=jax.random.key(0), n_init=2)
    assert result.provenance.model.names == ("short", "long")
    again = jax.jit(lambda params: jaxem.em(NAMED, params, X))(result.params)
    assert again.provenance.model.names == ("short", "long")
