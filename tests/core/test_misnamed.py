"""Constructors say what an argument is called, where another class calls it otherwise."""

import copy
import dataclasses
import inspect
import pickle

import pytest

import jaxem
from jaxem.families import Poisson


def test_the_name_that_is_meant_is_told():
    with pytest.raises(TypeError, match="HMM takes n_states=, not n_components="):
        jaxem.HMM(Poisson(), n_components=2)
    with pytest.raises(TypeError, match="Mixture takes n_components=, not n_states="):
        jaxem.Mixture(Poisson(), n_states=2)
    with pytest.raises(TypeError, match="n_stats"):
        jaxem.HMM(Poisson(), n_stats=2)


def test_all_else_is_as_without():
    model = jaxem.HMM(Poisson(), n_states=2)
    assert list(inspect.signature(jaxem.HMM).parameters)[:2] == ["family", "n_states"]
    assert pickle.loads(pickle.dumps(model)) == copy.deepcopy(model) == model
    assert dataclasses.replace(model, n_states=3).n_states == 3
