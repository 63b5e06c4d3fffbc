"""The M-step of the fourteen covariance structures, one block of the parameters after another.

C[k] = v[k] D[k] diag(a[k]) D[k]', prod a[k] = 1; letters as mclust has them. Minimal in v, in a and
in D while the others are held:

    sum_k N[k] log det C[k] + tr(inv(C[k]) S[k])
"""

import numpy as np

_MOST, _SETTLED = 50_000, 1e-15  # turns; part of the covariances that they still change


def estimate(letters: str, count: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """The k covariances, (k, d, d), of count[k] rows with this scatter around the means."""
    k, d = scatter.shape[:2]
    volume, shape = np.ones(k), np.ones((k, d))
    axes = np.stack([np.eye(d) if letters[2] == "I" else np.linalg.eigh(scatter.sum(0))[1]] * k)
    before = np.zeros_like(scatter)
    for _ in range(_MOST):
        axes = _axes(letters, scatter, volume, shape, axes)
        squares = np.array([np.diag(axes[j].T @ scatter[j] @ axes[j]) for j in range(k)])
        shape = _shapes(letters[1], squares, volume)
        volume = _volumes(letters[0], squares, shape, count)
        now = np.stack([axes[j] @ np.diag(volume[j] * shape[j]) @ axes[j].T for j in range(k)])
        if np.abs(now - before).max() <= _SETTLED * np.abs(now).max():
            break
        before = now
    return now


def _volumes(letter: str, squares: np.ndarray, shape: np.ndarray, count: np.ndarray) -> np.ndarray:
    traces, d = (squares / shape).sum(1), squares.shape[1]
    if letter == "E":
        return np.full(len(count), traces.sum() / (d * count.sum()))
    return traces / (d * count)


def _shapes(letter: str, squares: np.ndarray, volume: np.ndarray) -> np.ndarray:
    if letter == "I":
        return np.ones_like(squares)
    if letter == "E":
        squares = np.stack([(squares / volume[:, None]).sum(0)] * len(squares))
    return squares / np.exp(np.log(squares).mean(1))[:, None]


def _axes(
    letters: str, scatter: np.ndarray, volume: np.ndarray, shape: np.ndarray, axes: np.ndarray
) -> np.ndarray:
    k = len(scatter)
    if letters[2] == "I":
        return axes
    if letters[2] == "V":  # in the order of size, as all shapes then are
        return np.stack([np.linalg.eigh(scatter[j])[1] for j in range(k)])
    if letters[1] == "E":
        return np.stack([np.linalg.eigh(sum(scatter[j] / volume[j] for j in range(k)))[1]] * k)
    # tr(S D G D') lies under its tangent plane at D once S has no eigenvalue above 0: a majorant,
    # whose minimum is a polar factor (Browne and McNicholas 2014).
    slope = np.zeros(scatter.shape[1:])
    for j in range(k):
        largest = np.linalg.eigvalsh(scatter[j])[-1]
        below = scatter[j] - largest * np.eye(len(scatter[j]))
        slope += below @ axes[j] @ np.diag(1 / (volume[j] * shape[j]))
    left, _, right = np.linalg.svd(slope)
    return np.stack([-left @ right] * k)
