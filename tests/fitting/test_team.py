"""What processes tell each other, with threads in their place that add up their vectors."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import jax
import numpy as np
import pytest

import jaxem
from jaxem import families, sources
from jaxem.core import pool
from jaxem.core.source import Source, joined
from jaxem.fitting import first_look
from jaxem.fitting.processes import RaisedByAll, Team

N = 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(900, 2)).astype(np.float32)
WEIGHT = RNG.integers(0, 3, 900).astype(float)
MODEL = jaxem.Mixture(families.Gaussian("diag"), 2)


class Threads(Team):
    """Of N threads."""

    n = N

    def added(self, numbers):
        own = self.over
        own["given"][self.place] = numbers
        own["barrier"].wait()
        total = sum(own["given"][1:], own["given"][0])
        own["barrier"].wait()
        return total

    def watched(self):
        return nullcontext()


def each(function):
    """function(team) in each thread."""
    over = {"given": [None] * N, "barrier": threading.Barrier(N, timeout=60)}
    with ThreadPoolExecutor(N) as threads:
        begun = [threads.submit(function, Threads(over, place)) for place in range(N)]
        return [own.result() for own in begun]


def test_values_of_any_size_are_told():
    values = [None, {"a": np.arange(5.0), "b": "text"}, "x" * 1001]
    for found in each(lambda team: team.told(values[team.place])):
        assert found[0] is None and found[1]["b"] == "text" and found[2] == values[2]
        np.testing.assert_array_equal(found[1]["a"], np.arange(5.0))


def test_arrays_of_the_first_have_the_same_bits():
    first = {
        "a": np.array([-0.0, np.nan, 5e-324]), "b": np.array([True, False, True]),
        "c": np.float32(0.1), "d": np.arange(3, dtype=np.int32), "e": np.zeros((0, 2)),
    }  # fmt: skip
    others = jax.tree.map(lambda leaf: np.ones_like(leaf), first)
    for found in each(lambda team: team.of_first(first if team.place == 0 else others)):
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(first), strict=True):
            assert a.tobytes() == b.tobytes() and a.dtype == b.dtype and a.shape == b.shape


def test_what_fails_in_one_is_raised_by_all():
    def own(team):
        def make():
            if team.place == 1:
                raise OSError("x.parquet: is gone")
            return team.place

        for way in (team.own, team.together):
            with pytest.raises(RaisedByAll, match=r"^x\.parquet: is gone$"):
                way(make)
        return team.together(lambda: team.place), team.own(lambda: team.place)

    assert each(own) == [([0, 1, 2], place) for place in range(N)]


@pytest.mark.parametrize("rows", [900, 2])
def test_the_pool_of_shares_is_that_of_the_source(rows, monkeypatch):
    """Also where one has no rows."""
    monkeypatch.setattr(pool, "POOL", 300)
    x, weight = X[:rows], WEIGHT[:rows] + (rows < N)

    def batches():
        for at in range(0, rows, 170):
            yield x[at : at + 170], weight[at : at + 170], None

    source = sources.batches(batches)
    expected, kept, _ = first_look._looked(MODEL, source, 7, 0)

    def look(team):
        share = team.share(source)
        some = list(share.pieces())
        return first_look._looked_at_by(team, MODEL, share, 7), some

    found = each(look)
    for own, _ in found:
        assert own[0][:3] == expected[:3]
        np.testing.assert_array_equal(own[0].priority, expected.priority)
        np.testing.assert_array_equal(own[1].x, kept.x)
        np.testing.assert_array_equal(own[1].weight, kept.weight)
        assert own[0].n_sequences == len(own[2]) == 0
    together = joined([piece for _, some in found for piece in some])
    np.testing.assert_array_equal(together.x, x)


def test_the_pool_of_sequences_is_that_of_the_source(monkeypatch):
    monkeypatch.setattr(pool, "POOL", 300)
    lengths = np.array([1, 9, 40, 200, 50, 100] * 2 + [100])
    x, weight = np.split(X, np.cumsum(lengths)[:-1]), np.arange(len(lengths)) % 3.0

    def batches():
        for at in range(0, len(x), 4):
            yield x[at : at + 4], weight[at : at + 4], None

    source, chain = sources.batches(batches, sequences=True), jaxem.HMM(MODEL.family, 2)
    expected, kept, _ = first_look._looked(chain, source, 7, 0)
    assert 300 <= kept.lengths.sum() < 900 and np.all(kept.weight > 0)

    def look(team):
        return first_look._looked_at_by(team, chain, team.share(source), 7)

    found = each(look)
    for own, own_kept, _ in found:
        assert own[:5] == expected[:5]
        np.testing.assert_array_equal(own_kept.lengths, kept.lengths)
        np.testing.assert_array_equal(own_kept.x, kept.x)
        np.testing.assert_array_equal(own_kept.weight, kept.weight)
    np.testing.assert_array_equal(np.concatenate([own[2] for own in found]), lengths)


def test_different_levels_are_told_apart():
    class Coded(Source):
        def __init__(self, place):
            self.place = place

        @property
        def levels(self):
            return {"colour": ("red",) if self.place else ("blue", "red")}

        def pieces(self, first=0):
            yield from sources.batches(lambda: [X]).pieces(first)

    def own(team):
        with pytest.raises(RaisedByAll, match="different levels of categories"):
            team.share(Coded(team.place))

    each(own)


def test_different_rows_are_told_apart():
    def own(team):
        with pytest.raises(RaisedByAll, match="900 and 800 and 800 rows"):
            team.share(sources.batches(lambda: [X if team.place == 0 else X[:800]]))

    each(own)
