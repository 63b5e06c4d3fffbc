import jax
import numpy as np

import jaxem
from jaxem import datasets, families

jax.config.update("jax_enable_x64", True)

# %% jaxem.sklearn: HiddenMarkovModel
from jaxem.sklearn import HiddenMarkovModel

counts = datasets.load_earthquakes().x[:, 1:]  # one sequence; of several, fit(X, lengths=...)
estimator = HiddenMarkovModel(2, family=families.Poisson(), random_state=0).fit(counts)
print(estimator.transition_)
print(estimator.predict(counts)[:20])

# %% jaxem.sklearn: LatentClassAnalysis
from jaxem.sklearn import LatentClassAnalysis

answers = np.where(datasets.load_lsat().x == 1, "right", "wrong").astype(object)
classes = LatentClassAnalysis(2, random_state=0).fit(answers)
print(classes.weights_)
print(classes.categories_[0], classes.probabilities_[0])

# %% jaxem.sklearn: from_sklearn
from sklearn.mixture import GaussianMixture

from jaxem.sklearn import from_sklearn

x = datasets.load_faithful().x
model, params = from_sklearn(GaussianMixture(2, random_state=0).fit(x))
print(jaxem.standard_errors(model, params, x).components.means)

# %% jaxem.sklearn: to_sklearn
from jaxem.sklearn import to_sklearn

x = datasets.load_faithful().x
model = jaxem.Mixture(families.Gaussian("full"), 2)
estimator = to_sklearn(model, jaxem.fit(model, x, key=jax.random.key(0), n_init=5).params)
print(estimator, estimator.score(x))

# %% jaxem.hmmlearn: from_hmmlearn, to_hmmlearn
from hmmlearn.hmm import PoissonHMM

from jaxem.hmmlearn import from_hmmlearn, to_hmmlearn

counts = datasets.load_earthquakes().x[:, 1:].astype(int)
estimator = PoissonHMM(2, random_state=0).fit(counts)
model, params = from_hmmlearn(estimator)
print(jaxem.log_likelihood(model, params, counts), estimator.score(counts))
print(to_hmmlearn(model, params).score(counts))
