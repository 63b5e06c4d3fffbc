"""One judge of all programs: the log-likelihood at their parameters, in float64, by NumPy.

It sums over all rows, or over evenly spread ones where that would take long, and is itself held to
`jaxem.reference` on a few of them.
"""

import numpy as np

from benchmarks.data import Parameters
from jaxem.reference import gaussian_mixture as reference

TOLERANCE = {"float32": 1e-4, "float64": 1e-8}  # relative, of programs after the same steps
_WORK = 4e9  # products of one judgement
_BLOCK = 1 << 14  # rows
_ANCHOR = 1e-10  # relative


def log_likelihood(x: np.ndarray, parameters: Parameters, structure: str) -> float:
    """Over the judged rows; -inf or NaN where the parameters are no mixture."""
    parameters = _symmetric(parameters, structure)
    x = judged_rows(x, len(parameters.weights), structure)
    roots, log_dets = _roots(parameters, structure)
    if not np.all(np.isfinite(log_dets)):
        return float("nan")
    _anchor(x, parameters, structure, roots, log_dets)
    blocks = (x[first : first + _BLOCK] for first in range(0, len(x), _BLOCK))
    return float(sum(np.sum(_log_density(b, parameters, roots, log_dets)) for b in blocks))


def judged_rows(x: np.ndarray, k: int, structure: str) -> np.ndarray:
    n, d = x.shape
    products = k * d * (d if structure in ("full", "tied") else 1)
    most = int(min(n, max(1000, min(100_000, _WORK / products))))
    return np.asarray(x[np.linspace(0, n - 1, most).astype(int)], np.float64)


def agree(a: float, b: float, within: float) -> bool:
    return bool(abs(a - b) <= within * abs(b))


def _symmetric(parameters: Parameters, structure: str) -> Parameters:
    """In float64; what is symmetric but for rounding made so."""
    weights, means, covariances = (np.asarray(leaf, np.float64) for leaf in parameters)
    if structure in ("full", "tied"):
        covariances = (covariances + np.swapaxes(covariances, -1, -2)) / 2
    return Parameters(weights, means, covariances)


def _roots(parameters: Parameters, structure: str) -> tuple[np.ndarray, np.ndarray]:
    """-> (inv(L) with C = L L', or 1 / sqrt(variances) (k, d), for each component; log det C)."""
    k, d = parameters.means.shape
    covariances = parameters.covariances
    if structure in ("full", "tied"):
        covariances = np.broadcast_to(covariances, (k, d, d))
        try:
            factors = np.linalg.cholesky(covariances)
        except np.linalg.LinAlgError:
            return covariances, np.full(k, np.nan)
        diagonals = np.diagonal(factors, axis1=1, axis2=2)
        return np.linalg.inv(factors), 2 * np.sum(np.log(diagonals), 1)
    variances = covariances if structure == "diag" else np.tile(covariances[:, None], (1, d))
    variances = np.where(variances > 0, variances, np.nan)
    return 1 / np.sqrt(variances), np.sum(np.log(variances), 1)


def _log_density(
    x: np.ndarray, parameters: Parameters, roots: np.ndarray, log_dets: np.ndarray
) -> np.ndarray:
    joint = np.empty((len(parameters.weights), len(x)))
    with np.errstate(divide="ignore"):
        log_weights = np.log(parameters.weights)
    for j, (mean, root) in enumerate(zip(parameters.means, roots, strict=True)):
        residuals = x - mean
        white = residuals @ root.T if root.ndim == 2 else residuals * root
        joint[j] = log_weights[j] - 0.5 * (log_dets[j] + np.einsum("nd,nd->n", white, white))
    largest = joint.max(0)
    log_sum = largest + np.log(np.exp(joint - largest).sum(0))
    return log_sum - 0.5 * x.shape[1] * np.log(2 * np.pi)


def _anchor(
    x: np.ndarray,
    parameters: Parameters,
    structure: str,
    roots: np.ndarray,
    log_dets: np.ndarray,
) -> None:
    k, d = parameters.means.shape
    rows = x[:: max(1, len(x) // max(3, 1000 // k))]
    covariances = parameters.covariances
    if structure in ("diag", "spherical"):
        own = covariances if structure == "diag" else np.tile(covariances[:, None], (1, d))
        covariances = own[:, :, None] * np.eye(d)
    full = np.broadcast_to(covariances, (k, d, d))
    theta = reference.Mixture(parameters.weights, parameters.means, full)
    expected = reference.e_step(rows, theta)[1]
    found = float(np.sum(_log_density(rows, parameters, roots, log_dets)))
    if not abs(found - expected) <= _ANCHOR * max(abs(expected), len(rows)):
        raise ArithmeticError(f"the judge finds {found}, the reference {expected}")
