"""Factor analysers: covariances of few factors and a variance of each column's own."""

from jaxem.families.factor_analyzer.factor_analyzer import FactorAnalyzer as FactorAnalyzer
from jaxem.families.factor_analyzer.params import FactorAnalyzerParams as FactorAnalyzerParams
