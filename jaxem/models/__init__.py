"""Latent structures over a family."""

from jaxem.models.concomitants import (
    ConcomitantMixtureParams as ConcomitantMixtureParams,
)
from jaxem.models.concomitants import (
    NoisyConcomitantMixtureParams as NoisyConcomitantMixtureParams,
)
from jaxem.models.hmm import HMM as HMM
from jaxem.models.hmm import HMMParams as HMMParams
from jaxem.models.hmm import HMMPrior as HMMPrior
from jaxem.models.mixture import Mixture as Mixture
from jaxem.models.mixture import MixtureParams as MixtureParams
from jaxem.models.mixture import MixturePrior as MixturePrior
from jaxem.models.noise import Noise as Noise
from jaxem.models.noise import NoisyMixtureParams as NoisyMixtureParams
