"""A Gaussian mixture as one writes it in torch, on the GPU where torch sees one: residuals of a
component at a time, full covariances."""

import math

import torch

from benchmarks.data import Parameters, Problem
from benchmarks.programs import Fit

Mixture = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # weights, means, covariances


class TorchPlain:
    name = "plain torch"

    def refuses(self, problem: Problem) -> str:
        return "" if problem.structure == "full" else "its covariances are full"

    def fitter(self, problem: Problem) -> Fit:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        x = torch.tensor(problem.x, device=device)
        start = [torch.tensor(leaf, dtype=x.dtype, device=device) for leaf in problem.start]

        def fit(steps: int) -> Parameters:
            found: Mixture = (start[0], start[1], start[2])
            for _ in range(steps):
                found = step(x, *found)
            return Parameters(*(leaf.cpu().numpy() for leaf in found))

        return fit


def step(
    x: torch.Tensor, weights: torch.Tensor, means: torch.Tensor, covariances: torch.Tensor
) -> Mixture:
    roots = torch.linalg.cholesky(covariances)
    joint = torch.stack([log_normal(x, *of) for of in zip(means, roots, strict=True)])
    shares = torch.softmax(joint + torch.log(weights)[:, None], 0)
    counts = shares.sum(1)
    means = shares @ x / counts[:, None]
    covariances = torch.stack(
        [scatter(x, *of) for of in zip(shares / counts[:, None], means, strict=True)]
    )
    return counts / len(x), means, covariances


def log_normal(x: torch.Tensor, mean: torch.Tensor, root: torch.Tensor) -> torch.Tensor:
    white = torch.linalg.solve_triangular(root, (x - mean).T, upper=False)
    log_det = 2 * torch.log(torch.diagonal(root)).sum()
    return -0.5 * (len(root) * math.log(2 * math.pi) + log_det + (white**2).sum(0))


def scatter(x: torch.Tensor, share: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    residuals = x - mean
    return (share[:, None] * residuals).T @ residuals


PROGRAM = TorchPlain()
