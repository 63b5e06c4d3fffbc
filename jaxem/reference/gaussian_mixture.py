"""EM for a Gaussian mixture, row by row and component by component (Bishop 2006, section 9.2.2).

Covariances are held as k full matrices; `covariance_type` says how the M-step constrains them.
"""

from typing import Any, NamedTuple

import numpy as np


class Mixture(NamedTuple):
    weights: np.ndarray  # (k,)
    means: np.ndarray  # (k, d)
    covariances: np.ndarray  # (k, d, d), whatever the constraint


class Prior(NamedTuple):
    """Dirichlet on the weights, normal-inverse-Wishart on the components; None is flat.

    scale is a (d, d) matrix: full and tied use all of it, diag its diagonal, and spherical its
    trace as the scale of the one variance.
    """

    dirichlet: Any = None  # (k,)
    mean: Any = None  # (d,)
    mean_precision: float = 0.0
    degrees_of_freedom: Any = None
    scale: Any = None
    reg_covar: float = 0.0


def log_normal_density(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    d = len(x)
    residual = x - mean
    sign, log_det = np.linalg.slogdet(covariance)
    if sign <= 0:
        raise ValueError("the covariance is not positive definite")
    distance = residual @ np.linalg.solve(covariance, residual)
    return -0.5 * (d * np.log(2 * np.pi) + log_det + distance)


def log_joint(x: np.ndarray, theta: Mixture, label: int = -1, reg_covar: float = 0.0) -> np.ndarray:
    """log w[k] + log N(x; m[k], C[k]) - reg_covar / 2 tr(inv(C[k])) of one row, for each k."""
    k = len(theta.weights)
    result = np.full(k, -np.inf)
    for j in range(k):
        if theta.weights[j] > 0 and label in (-1, j):
            density = log_normal_density(x, theta.means[j], theta.covariances[j])
            penalty = 0.5 * reg_covar * np.trace(np.linalg.inv(theta.covariances[j]))
            result[j] = np.log(theta.weights[j]) + density - penalty
    return result


def e_step(
    x: np.ndarray,
    theta: Mixture,
    sample_weight: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    reg_covar: float = 0.0,
) -> tuple[np.ndarray, float]:
    """-> (responsibilities (n, k), log-likelihood)."""
    n, k = len(x), len(theta.weights)
    responsibilities = np.zeros((n, k))
    log_likelihood = 0.0
    for i in range(n):
        weight = 1.0 if sample_weight is None else sample_weight[i]
        if weight == 0:
            continue
        joint = log_joint(x[i], theta, -1 if labels is None else int(labels[i]), reg_covar)
        largest = joint.max()
        log_density = largest + np.log(np.exp(joint - largest).sum())
        responsibilities[i] = np.exp(joint - log_density)
        log_likelihood += weight * log_density
    return responsibilities, log_likelihood


def m_step(
    x: np.ndarray,
    theta: Mixture,
    responsibilities: np.ndarray,
    covariance_type: str,
    sample_weight: np.ndarray | None = None,
    prior: Prior | None = None,
) -> Mixture:
    """The maximiser of the expected complete log-likelihood plus log prior."""
    n, d = x.shape
    k = len(theta.weights)
    prior = Prior() if prior is None else prior
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
    x = np.where(weight[:, None] > 0, x, 0.0)
    count = np.zeros(k)
    scatter = np.zeros((k, d, d))
    means = theta.means.copy()
    for j in range(k):
        r = weight * responsibilities[:, j]
        count[j] = r.sum()
        if theta.weights[j] == 0 or count[j] + prior.mean_precision == 0:
            continue
        total = r @ x
        if prior.mean_precision > 0:
            total = total + prior.mean_precision * prior.mean
        means[j] = total / (count[j] + prior.mean_precision)
        for i in range(n):
            residual = x[i] - means[j]
            scatter[j] += r[i] * np.outer(residual, residual)
        if prior.mean_precision > 0:
            to_prior = means[j] - prior.mean
            scatter[j] += prior.mean_precision * np.outer(to_prior, to_prior)
        scatter[j] += count[j] * prior.reg_covar * np.eye(d)
    covariances = _covariances(scatter, count, theta, covariance_type, prior)
    return Mixture(_weights(count, theta, prior), means, covariances)


def _weights(count: np.ndarray, theta: Mixture, prior: Prior) -> np.ndarray:
    pseudo = np.zeros(len(count)) if prior.dirichlet is None else prior.dirichlet - 1
    total = np.maximum(count + np.where(theta.weights > 0, pseudo, 0), 0)
    return total / total.sum()


def _covariances(
    scatter: np.ndarray, count: np.ndarray, theta: Mixture, covariance_type: str, prior: Prior
) -> np.ndarray:
    k, d, _ = scatter.shape
    proper = prior.degrees_of_freedom is not None
    dof = prior.degrees_of_freedom
    scale = prior.scale if proper else np.zeros((d, d))
    has_mean = 1 if prior.mean_precision > 0 else 0
    live = theta.weights > 0
    result = theta.covariances.copy()
    if covariance_type == "tied":
        extra = dof + d + 1 if proper else 0
        pooled = (scatter[live].sum(0) + scale) / (count.sum() + has_mean * live.sum() + extra)
        return np.stack([pooled] * k)
    for j in np.flatnonzero(live):
        rows = count[j] + has_mean
        if rows == 0 and not proper:
            continue
        if covariance_type == "full":
            result[j] = (scatter[j] + scale) / (rows + (dof + d + 1 if proper else 0))
        elif covariance_type == "diag":
            extra = dof + 2 if proper else 0
            result[j] = np.diag((np.diag(scatter[j]) + np.diag(scale)) / (rows + extra))
        else:
            extra = dof + 2 if proper else 0
            variance = (np.trace(scatter[j]) + np.trace(scale)) / (d * rows + extra)
            result[j] = variance * np.eye(d)
    return result


def log_prior(theta: Mixture, covariance_type: str, prior: Prior) -> float:
    """Log density of the prior up to its normalising constant, without the reg_covar term."""
    k, d = theta.means.shape
    proper = prior.degrees_of_freedom is not None
    total = 0.0
    for j in range(k):
        if theta.weights[j] == 0:
            continue
        covariance = theta.covariances[j]
        inverse = np.linalg.inv(covariance)
        log_det = np.linalg.slogdet(covariance)[1]
        if prior.dirichlet is not None:
            total += (prior.dirichlet[j] - 1) * np.log(theta.weights[j])
        if prior.mean_precision > 0:
            residual = theta.means[j] - prior.mean
            total -= 0.5 * log_det + 0.5 * prior.mean_precision * residual @ inverse @ residual
        if not proper or (covariance_type == "tied" and j > 0):
            continue
        if covariance_type in ("full", "tied"):
            power = prior.degrees_of_freedom + d + 1
            total -= 0.5 * power * log_det + 0.5 * np.trace(prior.scale @ inverse)
        elif covariance_type == "diag":
            total -= 0.5 * (prior.degrees_of_freedom + 2) * log_det
            total -= 0.5 * np.sum(np.diag(prior.scale) / np.diag(covariance))
        else:
            variance = covariance[0, 0]
            total -= 0.5 * (prior.degrees_of_freedom + 2) * np.log(variance)
            total -= 0.5 * np.trace(prior.scale) / variance
    return total


def em(
    x: np.ndarray,
    theta: Mixture,
    covariance_type: str,
    n_iter: int,
    sample_weight: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    prior: Prior | None = None,
) -> tuple[Mixture, list[float]]:
    """-> (parameters after n_iter steps, the objective before each and after the last)."""
    prior = Prior() if prior is None else prior
    objectives = []
    for step in range(n_iter + 1):
        responsibilities, log_likelihood = e_step(x, theta, sample_weight, labels, prior.reg_covar)
        objectives.append(log_likelihood + log_prior(theta, covariance_type, prior))
        if step < n_iter:
            theta = m_step(x, theta, responsibilities, covariance_type, sample_weight, prior)
    return theta, objectives
