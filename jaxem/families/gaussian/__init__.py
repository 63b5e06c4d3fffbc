"""Gaussian components; one file a covariance structure."""

from jaxem.families.gaussian.gaussian import Gaussian as Gaussian
from jaxem.families.gaussian.gaussian import GaussianParams as GaussianParams
from jaxem.families.gaussian.gaussian import GaussianStatistics as GaussianStatistics
from jaxem.families.gaussian.prior import GaussianPrior as GaussianPrior
