"""The contracts between the loop, the models and the families.

A *family* is one component distribution, k copies of it. A *model* is a latent structure over a
family. The loop sees a model alone, through additive sufficient statistics:

    e_step(prepare(theta), rows) -> (statistics, objective)     both are sums over the rows
    m_step(theta, statistics)    -> theta'                      weighted maximum likelihood

Specs (families, models) are frozen dataclasses of plain Python values: hashable, static under jit,
checked once. Values (rows, parameters, statistics) are NamedTuples of arrays and never checked.
"""

from jaxem.core.family import Family as Family
from jaxem.core.model import Model as Model
from jaxem.core.rows import Rows as Rows
from jaxem.core.values import Health as Health
from jaxem.core.values import Params as Params
from jaxem.core.values import Place as Place
from jaxem.core.values import Prepared as Prepared
from jaxem.core.values import Prior as Prior
from jaxem.core.values import Statistics as Statistics
