"""tgmm's GaussianMixture on torch arrays, on the GPU where torch sees one."""

import warnings

import torch
from tgmm import GaussianMixture

from benchmarks.data import Parameters, Problem
from benchmarks.programs import Fit

STRUCTURES = {"full": "full", "diag": "diag", "spherical": "spherical", "tied": "tied_full"}


class Tgmm:
    name = "tgmm"

    def refuses(self, problem: Problem) -> str:
        return ""

    def fitter(self, problem: Problem) -> Fit:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        x = torch.tensor(problem.x, device=device)
        weights, means, covariances = (
            torch.tensor(leaf, dtype=x.dtype, device=device) for leaf in problem.start
        )

        def fit(steps: int) -> Parameters:
            """Exactly so many steps: no gain but 0 is under that tol."""
            mixture = GaussianMixture(len(weights), x.shape[1], STRUCTURES[problem.structure],
                                      max_iter=steps, tol=1e-300, reg_covar=0.0, init_means=means,
                                      init_weights=weights, init_covariances=covariances,
                                      device=device)  # fmt: skip
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mixture.fit(x)
            found = (mixture.weights_, mixture.means_, mixture.covariances_)
            return Parameters(*(leaf.cpu().numpy() for leaf in found))

        return fit


PROGRAM = Tgmm()
