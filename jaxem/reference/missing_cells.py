"""The E-step of a Gaussian mixture with missing cells: row by row, plain loops, float64.

Of row n in component k, with the cells o that it has and the cells h that it lacks,

    log N(x_o; m_o, C_oo),  E[x_h] = m_h + C_ho inv(C_oo) (x_o - m_o),
    cov(x_h) = C_hh - C_ho inv(C_oo) C_oh                (Little and Rubin 2002, section 11.2)
"""

from typing import NamedTuple

import numpy as np
from numpy.linalg import inv, slogdet


class Expected(NamedTuple):
    """log_likelihood; responsibilities (n, k); of the completed rows counts (k,), and weighted
    sums of E[x] (k, d) and of E[x x'] (k, d, d)."""

    log_likelihood: float
    responsibilities: np.ndarray
    counts: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Row(NamedTuple):
    log_density: float
    mean: np.ndarray  # (d,), of the row given what it has
    covariance: np.ndarray  # (d, d), 0 where it was observed


def row(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> Row:
    has, lacks = ~np.isnan(x), np.isnan(x)
    own = covariance[np.ix_(has, has)]
    residual = x[has] - mean[has]
    across = covariance[np.ix_(lacks, has)] @ inv(own)
    filled, left = x.copy(), np.zeros_like(covariance)
    filled[lacks] = mean[lacks] + across @ residual
    left[np.ix_(lacks, lacks)] = (
        covariance[np.ix_(lacks, lacks)] - across @ covariance[np.ix_(has, lacks)]
    )
    distance = residual @ inv(own) @ residual
    constant = has.sum() * np.log(2 * np.pi) + (slogdet(own)[1] if has.any() else 0.0)
    return Row(-0.5 * (constant + distance), filled, left)


def e_step(
    x: np.ndarray, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
) -> Expected:
    """covariances (k, d, d)."""
    n, d = x.shape
    k = len(weights)
    shares, total = np.zeros((n, k)), 0.0
    counts, first, second = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    for i in range(n):
        rows = [row(x[i], means[j], covariances[j]) for j in range(k)]
        joint = np.array([np.log(weights[j]) + rows[j].log_density for j in range(k)])
        log_density = np.logaddexp.reduce(joint)
        total += log_density
        shares[i] = np.exp(joint - log_density)
        for j in range(k):
            moment = np.outer(rows[j].mean, rows[j].mean) + rows[j].covariance
            counts[j] += shares[i, j]
            first[j] += shares[i, j] * rows[j].mean
            second[j] += shares[i, j] * moment
    return Expected(float(total), shares, counts, first, second)
