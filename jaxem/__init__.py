"""Expectation-maximization for JAX."""

from jaxem import families as families
from jaxem.analysis.criteria import aic as aic
from jaxem.analysis.criteria import bic as bic
from jaxem.analysis.criteria import icl as icl
from jaxem.analysis.decode import Occupancy as Occupancy
from jaxem.analysis.decode import filter_states as filter_states
from jaxem.analysis.decode import forecast as forecast
from jaxem.analysis.decode import occupancy as occupancy
from jaxem.analysis.decode import sample_paths as sample_paths
from jaxem.analysis.decode import viterbi as viterbi
from jaxem.analysis.diagnose import Diagnosis as Diagnosis
from jaxem.analysis.diagnose import diagnose as diagnose
from jaxem.analysis.latent_class import LatentClasses as LatentClasses
from jaxem.analysis.latent_class import latent_classes as latent_classes
from jaxem.analysis.likelihood import Slice as Slice
from jaxem.analysis.likelihood import Trace as Trace
from jaxem.analysis.likelihood import complete_log_likelihood as complete_log_likelihood
from jaxem.analysis.likelihood import em_trace as em_trace
from jaxem.analysis.likelihood import likelihood_slice as likelihood_slice
from jaxem.analysis.likelihood import log_likelihood as log_likelihood
from jaxem.analysis.predict import log_prob as log_prob
from jaxem.analysis.predict import n_free_parameters as n_free_parameters
from jaxem.analysis.predict import predict as predict
from jaxem.analysis.predict import predict_proba as predict_proba
from jaxem.analysis.predict import sample as sample
from jaxem.analysis.predict import smooth as smooth
from jaxem.analysis.select import Selection as Selection
from jaxem.analysis.select import select as select
from jaxem.core.status import FitError as FitError
from jaxem.core.status import Status as Status
from jaxem.fitting.fit import em as em
from jaxem.fitting.fit import fit as fit
from jaxem.fitting.result import Result as Result
from jaxem.fitting.steps import e_step as e_step
from jaxem.fitting.steps import m_step as m_step
from jaxem.io import load as load
from jaxem.io import save as save
from jaxem.models.hmm import HMM as HMM
from jaxem.models.hmm import HMMParams as HMMParams
from jaxem.models.hmm import HMMPrior as HMMPrior
from jaxem.models.mixture import Mixture as Mixture
from jaxem.models.mixture import MixtureParams as MixtureParams
from jaxem.models.mixture import MixturePrior as MixturePrior

__version__ = "0.1.0"
