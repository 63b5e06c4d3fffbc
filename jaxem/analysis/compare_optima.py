"""How the optima of a fit differ: in likelihood, in parameters, and in what they say of the rows.

Parts are brought into the order of the best optimum's: the assignment that agrees on most rows.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxem.analysis import alignment
from jaxem.core import checks
from jaxem.core.contracts import Params
from jaxem.core.dataset import as_dataset
from jaxem.core.inputs import waits
from jaxem.core.status import Status
from jaxem.fitting import sizes
from jaxem.fitting.agreement import likeliest
from jaxem.fitting.result import Result


class ComparedOptima(NamedTuple):
    """Regular optima, the best first, as `result.restarts.optima` has them.

    log_likelihood (m,); difference (m,) from the best, in nats; count (m,): starts that came to
        each; start (m,): the one of them that is shown.
    same_part (m,): the share of rows, by weight, whose likeliest part, or noise, is the same as in
        the best.
    params (m, ...): with the parts of each in the order of the best's.
    """

    log_likelihood: Float[np.ndarray, " m"]
    difference: Float[np.ndarray, " m"]
    count: Int[np.ndarray, " m"]
    start: Int[np.ndarray, " m"]
    same_part: Float[np.ndarray, " m"]
    params: Params

    def __str__(self) -> str:
        head = "optimum  log-likelihood  difference  starts  rows alike"
        own = zip(self.log_likelihood, self.difference, self.count, self.same_part, strict=True)
        return "\n".join([head, *(
            f"{i + 1:>7}  {value:>14.4f}  {apart:>10.4f}  {count:>6}  {100 * same:>8.1f} %"
            for i, (value, apart, count, same) in enumerate(own)
        )])  # fmt: skip


@waits
def compare_optima(
    result: Result, x: Any, sample_weight: Any = None, lengths: Any = None, most: Any = 10
) -> ComparedOptima:
    """The best optima of a fit beside each other, at most `most` of them.

    same_part[i] = sum_n w[n] [z(x[n]; theta_i) = z(x[n]; theta_1)] / sum_n w[n],  z the likeliest
    part, and the parts of theta_i in the order in which that is largest; states of a chain whose
    transitions tell which is which stay in theirs.

    Where two optima are nearly as high and divide the rows differently, the data do not tell which
    division is right: say so, or take fewer components.

    result: of `fit`, of several starts. x, sample_weight, lengths: as it was given them.
    Errors: ValueError for traced values, and where no start is regular.
    Source: Kuhn (1955), Naval Research Logistics Quarterly 2, 83-97, for the order.
    """
    most = checks.whole(most, "most", least=1)
    if not checks.is_concrete(result, x, sample_weight):
        raise ValueError("values are traced; call compare_optima outside of jit, vmap and grad")
    model, found = result.provenance.model, result.restarts.optima
    if not len(found):
        raise ValueError(
            "no start of this fit is regular, so there are no optima to compare: "
            f"its status is {Status(int(result.status)).name}"
        )
    data = as_dataset(model, x, sample_weight, None, lengths)
    rows, block = data.rows, sizes.block_size(model, data.rows)
    # Starts that came to one optimum differ in their last digits: the highest stands for it.
    places = [_highest(result.restarts, value) for value in found.log_posterior[:most]]
    params: Any = jax.tree.map(lambda leaf: np.asarray(leaf)[places], result.restarts.params)

    def labels(i: int) -> np.ndarray:
        own = jax.tree.map(lambda leaf: leaf[i], params)
        return np.asarray(likeliest(model, jax.device_put(own), rows, block, True)).ravel()

    weight = np.asarray(rows.weight, float).ravel()
    k, best = model.n_components, labels(0)
    tables = np.array([_table(best, labels(i), weight, k + 1) for i in range(len(places))])
    order = alignment.orders(model, tables[:, :k, :k])
    shared = np.take_along_axis(tables[:, :k, :k], order[:, :, None], axis=2)
    same = np.sum(shared, axis=(1, 2)) + tables[:, k, k]
    value = found.log_likelihood[:most]
    return ComparedOptima(
        value, value - value[0], found.count[:most], np.array(places), same,
        alignment.aligned(model, params, order),
    )  # fmt: skip


def _highest(restarts: Any, value: float) -> int:
    return int(np.flatnonzero(np.asarray(restarts.log_posterior) == value)[0])


def _table(one: np.ndarray, other: np.ndarray, weight: np.ndarray, k: int) -> np.ndarray:
    """The share of rows, by weight, that are of part i in one and j in the other, (k, k)."""
    sums = np.bincount(k * one + other, weights=weight, minlength=k * k)
    return sums.reshape(k, k) / np.sum(weight)
