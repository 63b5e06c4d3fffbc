"""Expectation-maximization for JAX."""

from jaxem import families as families
from jaxem import sources as sources
from jaxem.analysis.annotate import annotate as annotate
from jaxem.analysis.bootstrap import Bootstrap as Bootstrap
from jaxem.analysis.bootstrap import bootstrap as bootstrap
from jaxem.analysis.compare_optima import ComparedOptima as ComparedOptima
from jaxem.analysis.compare_optima import compare_optima as compare_optima
from jaxem.analysis.concomitants import concomitant_weights as concomitant_weights
from jaxem.analysis.conditional import Moments as Moments
from jaxem.analysis.conditional import conditional as conditional
from jaxem.analysis.conditional import moments as moments
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
from jaxem.analysis.factors import Oblique as Oblique
from jaxem.analysis.factors import communalities as communalities
from jaxem.analysis.factors import factor_scores as factor_scores
from jaxem.analysis.factors import promax as promax
from jaxem.analysis.factors import varimax as varimax
from jaxem.analysis.impute import impute as impute
from jaxem.analysis.intervals import ConfidenceIntervals as ConfidenceIntervals
from jaxem.analysis.intervals import confidence_intervals as confidence_intervals
from jaxem.analysis.latent_class import LatentClasses as LatentClasses
from jaxem.analysis.latent_class import latent_classes as latent_classes
from jaxem.analysis.likelihood import Slice as Slice
from jaxem.analysis.likelihood import Trace as Trace
from jaxem.analysis.likelihood import complete_log_likelihood as complete_log_likelihood
from jaxem.analysis.likelihood import em_trace as em_trace
from jaxem.analysis.likelihood import likelihood_slice as likelihood_slice
from jaxem.analysis.likelihood import log_likelihood as log_likelihood
from jaxem.analysis.lr_test import LRTest as LRTest
from jaxem.analysis.lr_test import lr_test as lr_test
from jaxem.analysis.lr_test import lr_tests as lr_tests
from jaxem.analysis.merging import Merging as Merging
from jaxem.analysis.merging import merge_components as merge_components
from jaxem.analysis.outliers import outlier_weights as outlier_weights
from jaxem.analysis.predict import log_prob as log_prob
from jaxem.analysis.predict import n_free_parameters as n_free_parameters
from jaxem.analysis.predict import predict as predict
from jaxem.analysis.predict import predict_proba as predict_proba
from jaxem.analysis.predict import sample as sample
from jaxem.analysis.predict import smooth as smooth
from jaxem.analysis.select import Selection as Selection
from jaxem.analysis.select import select as select
from jaxem.analysis.standard_errors import ParameterCovariance as ParameterCovariance
from jaxem.analysis.standard_errors import parameter_covariance as parameter_covariance
from jaxem.analysis.standard_errors import standard_errors as standard_errors
from jaxem.analysis.trimmed import trimmed_weights as trimmed_weights
from jaxem.core.dataset import Dataset as Dataset
from jaxem.core.dataset import read as read
from jaxem.core.status import FitError as FitError
from jaxem.core.status import Status as Status
from jaxem.fitting.fit import em as em
from jaxem.fitting.fit import fit as fit
from jaxem.fitting.incremental import fit_incremental as fit_incremental
from jaxem.fitting.many import fit_many as fit_many
from jaxem.fitting.online import fit_online as fit_online
from jaxem.fitting.result import Result as Result
from jaxem.fitting.steps import e_step as e_step
from jaxem.fitting.steps import m_step as m_step
from jaxem.io import load as load
from jaxem.io import save as save
from jaxem.models.concomitants import (
    ConcomitantMixtureParams as ConcomitantMixtureParams,
)
from jaxem.models.concomitants import (
    NoisyConcomitantMixtureParams as NoisyConcomitantMixtureParams,
)
from jaxem.models.hmm import HMM as HMM
from jaxem.models.hmm import HMMParams as HMMParams
from jaxem.models.hmm import HMMPrior as HMMPrior
from jaxem.models.mixed_columns import MixedColumns as MixedColumns
from jaxem.models.mixed_columns import mixed_columns as mixed_columns
from jaxem.models.mixture import Mixture as Mixture
from jaxem.models.mixture import MixtureParams as MixtureParams
from jaxem.models.mixture import MixturePrior as MixturePrior
from jaxem.models.noise import Noise as Noise
from jaxem.models.noise import NoisyMixtureParams as NoisyMixtureParams

__version__ = "0.2.0"
