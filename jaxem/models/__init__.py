"""Latent structures over a family."""

from jaxem.models.mixture import Mixture as Mixture
from jaxem.models.mixture import MixtureParams as MixtureParams
from jaxem.models.mixture import MixturePrior as MixturePrior
