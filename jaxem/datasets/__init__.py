"""Small classic data sets, bundled."""

from jaxem.datasets.bundled import Dataset as Dataset
from jaxem.datasets.bundled import load_crabs as load_crabs
from jaxem.datasets.bundled import load_earthquakes as load_earthquakes
from jaxem.datasets.bundled import load_faithful as load_faithful
from jaxem.datasets.bundled import load_galaxies as load_galaxies
from jaxem.datasets.bundled import load_iris as load_iris
from jaxem.datasets.bundled import load_lsat as load_lsat
