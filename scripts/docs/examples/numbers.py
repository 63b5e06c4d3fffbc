import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem import datasets, families

jax.config.update("jax_enable_x64", True)

# %% jaxem.families: ContaminatedNormal, ContaminatedNormalParams
rng = np.random.default_rng(0)
scale = np.where(rng.random(300) < 0.1, 6.0, 1.0)  # a tenth of the rows is spread wider
x = np.where(rng.random(300) < 0.5, -10, 10) + scale * rng.normal(size=300)
model = jaxem.Mixture(families.ContaminatedNormal("full"), 2)
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5)
found = result.params.components  # a ContaminatedNormalParams
print(found.shares, found.inflations)
print(np.sum(np.asarray(jaxem.outlier_weights(model, result.params, x)) < 0.5), "outliers")

# %% jaxem.families: Density
model = jaxem.Mixture(
    families.Density(  # Laplace components of one column; params: (centre, log of the scale)
        log_prob=lambda p, x: -jnp.log(2) - p[1] - jnp.abs(x[:, 0] - p[0]) * jnp.exp(-p[1]),
        start=lambda x, weight: (jnp.average(x[:, 0], weights=weight), jnp.zeros((), x.dtype)),
    ),
    2,
)
x = np.concatenate([np.random.default_rng(0).laplace(c, 1, 100) for c in (0, 12)])
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5)
print(result.params.components[0])  # the centres

# %% jaxem.families: FactorAnalyzer, FactorAnalyzerParams
x = datasets.load_crabs().x[:, 1:]  # (200, 5)
model = jaxem.Mixture(families.FactorAnalyzer(n_factors=1), 2)
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5)
means, loadings, uniquenesses = result.params.components  # a FactorAnalyzerParams
print(loadings[..., 0])  # (2, 5), of the one factor in each component

# %% jaxem.families: StudentT, StudentTParams
x = datasets.load_faithful().x
model = jaxem.Mixture(families.StudentT("full"), 2)
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5)
found = result.params.components  # a StudentTParams
print(found.means)
print(found.degrees_of_freedom)  # the smaller, the heavier the tails

# %% jaxem.families: VonMises, VonMisesParams, VonMisesPrior
truth = families.VonMisesParams(np.array([[0.5], [3.0]]), np.array([[8.0], [3.0]]))
model = jaxem.Mixture(families.VonMises(), 2)  # directions of the wind, in radians
wind, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 300)
prior = jaxem.MixturePrior(components=families.VonMisesPrior(rows=1, direction=0, length=0.1))
result = jaxem.fit(model, wind, key=jax.random.key(0), n_init=5, prior=prior)
print(np.degrees(result.params.components.directions))

# %% jaxem.families: VonMisesFisher, VonMisesFisherParams, VonMisesFisherPrior
truth = families.VonMisesFisherParams(np.eye(3)[:2], np.array([20.0, 8.0]))  # along two axes
model = jaxem.Mixture(families.VonMisesFisher(), 2)  # rows of length 1, such as embeddings
x, _ = jaxem.sample(model, jaxem.MixtureParams([0.5, 0.5], truth), jax.random.key(1), 300)
prior = jaxem.MixturePrior(components=families.VonMisesFisherPrior(rows=1, length=0.5))
result = jaxem.fit(model, x, key=jax.random.key(0), n_init=5, prior=prior)
print(result.params.components.directions)
