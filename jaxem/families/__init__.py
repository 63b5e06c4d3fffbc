"""Component distributions, one file each."""

from jaxem.families.bernoulli import Bernoulli as Bernoulli
from jaxem.families.bernoulli import BernoulliParams as BernoulliParams
from jaxem.families.bernoulli import BernoulliPrior as BernoulliPrior
from jaxem.families.beta import Beta as Beta
from jaxem.families.beta import BetaParams as BetaParams
from jaxem.families.beta import BetaPrior as BetaPrior
from jaxem.families.binned_normal import BinnedNormal as BinnedNormal
from jaxem.families.binned_normal import BinnedNormalParams as BinnedNormalParams
from jaxem.families.binomial import Binomial as Binomial
from jaxem.families.binomial import BinomialParams as BinomialParams
from jaxem.families.binomial import BinomialPrior as BinomialPrior
from jaxem.families.categorical import Categorical as Categorical
from jaxem.families.categorical import CategoricalParams as CategoricalParams
from jaxem.families.categorical import CategoricalPrior as CategoricalPrior
from jaxem.families.censored_exponential import CensoredExponential as CensoredExponential
from jaxem.families.censored_normal import CensoredNormal as CensoredNormal
from jaxem.families.censored_normal import CensoredNormalParams as CensoredNormalParams
from jaxem.families.contaminated_normal import ContaminatedNormal as ContaminatedNormal
from jaxem.families.contaminated_normal import ContaminatedNormalParams as ContaminatedNormalParams
from jaxem.families.density import Density as Density
from jaxem.families.exponential import Exponential as Exponential
from jaxem.families.exponential import ExponentialParams as ExponentialParams
from jaxem.families.exponential import ExponentialPrior as ExponentialPrior
from jaxem.families.factor_analyzer import FactorAnalyzer as FactorAnalyzer
from jaxem.families.factor_analyzer import FactorAnalyzerParams as FactorAnalyzerParams
from jaxem.families.gamma import Gamma as Gamma
from jaxem.families.gamma import GammaParams as GammaParams
from jaxem.families.gamma import GammaPrior as GammaPrior
from jaxem.families.gaussian import Gaussian as Gaussian
from jaxem.families.gaussian import GaussianParams as GaussianParams
from jaxem.families.gaussian import GaussianPrior as GaussianPrior
from jaxem.families.generalized_regression import RegressionPrior as RegressionPrior
from jaxem.families.inverse_gaussian import InverseGaussian as InverseGaussian
from jaxem.families.inverse_gaussian import InverseGaussianParams as InverseGaussianParams
from jaxem.families.inverse_gaussian import InverseGaussianPrior as InverseGaussianPrior
from jaxem.families.linear_regression import LinearRegression as LinearRegression
from jaxem.families.linear_regression import LinearRegressionParams as LinearRegressionParams
from jaxem.families.linear_regression import LinearRegressionPrior as LinearRegressionPrior
from jaxem.families.log_normal import LogNormal as LogNormal
from jaxem.families.log_normal import LogNormalParams as LogNormalParams
from jaxem.families.log_normal import LogNormalPrior as LogNormalPrior
from jaxem.families.logistic_regression import LogisticRegression as LogisticRegression
from jaxem.families.logistic_regression import LogisticRegressionParams as LogisticRegressionParams
from jaxem.families.multinomial import Multinomial as Multinomial
from jaxem.families.multinomial import MultinomialParams as MultinomialParams
from jaxem.families.multinomial import MultinomialPrior as MultinomialPrior
from jaxem.families.negative_binomial import NegativeBinomial as NegativeBinomial
from jaxem.families.negative_binomial import NegativeBinomialParams as NegativeBinomialParams
from jaxem.families.poisson import Poisson as Poisson
from jaxem.families.poisson import PoissonParams as PoissonParams
from jaxem.families.poisson import PoissonPrior as PoissonPrior
from jaxem.families.poisson_regression import PoissonRegression as PoissonRegression
from jaxem.families.poisson_regression import PoissonRegressionParams as PoissonRegressionParams
from jaxem.families.product import Product as Product
from jaxem.families.student_t import StudentT as StudentT
from jaxem.families.student_t import StudentTParams as StudentTParams
from jaxem.families.truncated_exponential import TruncatedExponential as TruncatedExponential
from jaxem.families.truncated_exponential import (
    TruncatedExponentialParams as TruncatedExponentialParams,
)
from jaxem.families.truncated_exponential import (
    TruncatedExponentialPrior as TruncatedExponentialPrior,
)
from jaxem.families.truncated_normal import TruncatedNormal as TruncatedNormal
from jaxem.families.truncated_normal import TruncatedNormalParams as TruncatedNormalParams
from jaxem.families.von_mises import VonMises as VonMises
from jaxem.families.von_mises import VonMisesParams as VonMisesParams
from jaxem.families.von_mises import VonMisesPrior as VonMisesPrior
from jaxem.families.von_mises_fisher import VonMisesFisher as VonMisesFisher
from jaxem.families.von_mises_fisher import VonMisesFisherParams as VonMisesFisherParams
from jaxem.families.von_mises_fisher import VonMisesFisherPrior as VonMisesFisherPrior
from jaxem.families.weibull import Weibull as Weibull
from jaxem.families.weibull import WeibullParams as WeibullParams
from jaxem.families.zero_inflated_poisson import ZeroInflatedPoisson as ZeroInflatedPoisson
from jaxem.families.zero_inflated_poisson import (
    ZeroInflatedPoissonParams as ZeroInflatedPoissonParams,
)
from jaxem.families.zero_inflated_poisson import (
    ZeroInflatedPoissonPrior as ZeroInflatedPoissonPrior,
)
