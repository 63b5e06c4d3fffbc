"""Gaussian components; one file a covariance structure."""

from jaxem.families.gaussian.gaussian import Gaussian as Gaussian
from jaxem.families.gaussian.gaussian import GaussianParams as GaussianParams
from jaxem.families.gaussian.gaussian import GaussianPrior as GaussianPrior
from jaxem.families.gaussian.gaussian import GaussianStatistics as GaussianStatistics
