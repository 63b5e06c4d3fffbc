"""Component distributions, one file each."""

from jaxem.families.gaussian import Gaussian as Gaussian
from jaxem.families.gaussian import GaussianParams as GaussianParams
from jaxem.families.gaussian import GaussianPrior as GaussianPrior
