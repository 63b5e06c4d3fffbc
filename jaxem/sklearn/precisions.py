"""Covariances to precisions and back, on the host, in each structure's own shape."""

import numpy as np


def precisions_cholesky(covariances: np.ndarray, covariance_type: str) -> np.ndarray:
    """U, upper triangular, with inv(C) = U U': U = inv(L)' for C = L L'.

    For diag and spherical U is 1 / sqrt(variance). LinAlgError where C is not positive definite.
    """
    if covariance_type in ("diag", "spherical"):
        if not np.all(covariances > 0):
            raise np.linalg.LinAlgError("a variance is not positive")
        return 1 / np.sqrt(covariances)
    inverse = np.linalg.inv(np.linalg.cholesky(covariances))
    return np.triu(np.swapaxes(inverse, -1, -2))


def precisions(cholesky: np.ndarray, covariance_type: str) -> np.ndarray:
    """inv(C) = U U' from `precisions_cholesky`."""
    if covariance_type in ("diag", "spherical"):
        return cholesky**2
    return cholesky @ np.swapaxes(cholesky, -1, -2)


def covariances(precisions: np.ndarray, covariance_type: str) -> np.ndarray:
    """C from inv(C). LinAlgError where inv(C) is not symmetric and positive definite."""
    if covariance_type in ("full", "tied") and not np.allclose(
        precisions, np.swapaxes(precisions, -1, -2)
    ):
        raise np.linalg.LinAlgError("a precision matrix is not symmetric")
    root = precisions_cholesky(precisions, covariance_type)
    if covariance_type in ("diag", "spherical"):
        return root**2
    return root @ np.swapaxes(root, -1, -2)
