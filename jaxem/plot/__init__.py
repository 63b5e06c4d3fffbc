"""Pictures of fits, with matplotlib. Every function draws on the axes given, and returns them."""

try:
    import matplotlib as _matplotlib  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    raise ModuleNotFoundError(
        "jaxem.plot needs matplotlib; pip install 'jaxem[plot]'", name=error.name
    ) from None

from jaxem.plot.bootstrap import bootstrap as bootstrap
from jaxem.plot.chains import decoded as decoded
from jaxem.plot.chains import transition_matrix as transition_matrix
from jaxem.plot.curves import density as density
from jaxem.plot.curves import mixing_weights as mixing_weights
from jaxem.plot.curves import responsibilities as responsibilities
from jaxem.plot.fits import criterion as criterion
from jaxem.plot.fits import starts as starts
from jaxem.plot.holes import missing_patterns as missing_patterns
from jaxem.plot.intervals import forest as forest
from jaxem.plot.likelihood import likelihood_slice as likelihood_slice
from jaxem.plot.likelihood import trace as trace
from jaxem.plot.overview import overview as overview
from jaxem.plot.points import clusters as clusters
from jaxem.plot.points import uncertainty as uncertainty
from jaxem.plot.profiles import item_profiles as item_profiles
from jaxem.plot.regressions import concomitant_weights as concomitant_weights
from jaxem.plot.regressions import regression as regression
