"""Components merged into clusters by entropy: one cluster may need several normal components.

With t[n, g] the probability of row n to be in group g, two groups are merged that lower

    ENT = - sum_n weight[n] sum_g t[n, g] log t[n, g]

the most, again and again: the density stays as it is (Baudry, Raftery, Celeux, Lo and Gottardo
2010, J. Comput. Graph. Stat. 19, 332-353).
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.analysis.predict import smoothed
from jaxem.core import checks
from jaxem.core.contracts import Model, Params
from jaxem.core.dataset import as_dataset


class Merging(NamedTuple):
    """The tree of merges. pairs (k - 1, 2): the groups merged in turn, each called by its first
    component; entropy (k,): ENT of k groups, of k - 1, ..., of 1, in nats.

    A bend in the entropy says how many clusters there are: merges beyond it lower it little.
    """

    pairs: np.ndarray
    entropy: np.ndarray

    def clusters(self, n: int) -> np.ndarray:
        """The cluster of each component where there are n of them, (k,): numbers from 0.

        With them `clusters(n)[predict(model, params, x)]` are the clusters of rows.
        Errors: ValueError for an n that is not from 1 to k.
        """
        k = len(self.entropy)
        checks.between(checks.whole(n, "n", least=1), "n", 1, k)
        first = np.arange(k)
        for into, other in self.pairs[: k - n]:
            first[first == other] = into
        return np.unique(first, return_inverse=True)[1]


def merge_components(model: Model, params: Params, x: Any, sample_weight: Any = None) -> Merging:
    """The components of a mixture merged in turn, from k groups to 1.

    sample_weight: (n,) frequencies. Noise is no component, and stays apart.
    Errors: ValueError for what `predict_proba` refuses, and for sequences.
    """
    data = as_dataset(model, x, sample_weight)
    if data.layout is not None:
        raise ValueError("components of mixtures are merged; the rows of a sequence have states")
    weight = checks.weights(sample_weight, data.n_rows)
    shares = np.array(jax.device_get(smoothed(data, model.as_params(params, data.rows))), float)
    shares = shares[:, : model.n_components]
    weight = np.ones(len(shares)) if weight is None else np.asarray(weight, float)
    groups, pairs = list(range(shares.shape[1])), []
    entropy = [float(weight @ _terms(shares).sum(axis=1))]
    while len(groups) > 1:
        gain, into, other = max(
            (_gain(shares[:, i], shares[:, j], weight), -i, -j)
            for a, i in enumerate(groups)
            for j in groups[a + 1 :]
        )
        into, other = -into, -other
        shares[:, into] += shares[:, other]
        groups.remove(other)
        pairs.append((into, other))
        entropy.append(entropy[-1] - gain)
    return Merging(np.array(pairs, int).reshape(-1, 2), np.array(entropy))


def _gain(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """By how much the entropy is lower when the two are one."""
    return float(weight @ (_terms(a) + _terms(b) - _terms(a + b)))


def _terms(t: np.ndarray) -> np.ndarray:
    """- t log t, 0 at 0."""
    return -t * np.log(np.where(t > 0, t, 1))
