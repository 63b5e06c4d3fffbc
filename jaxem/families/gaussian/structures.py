"""The structures of covariances by their names: mclust's fourteen, and those of scikit-learn."""

from jaxem.families.gaussian.common import EEI, EII
from jaxem.families.gaussian.covariance import Covariance
from jaxem.families.gaussian.diag import Diag
from jaxem.families.gaussian.equal_volume import EVI, EVV
from jaxem.families.gaussian.full import Full
from jaxem.families.gaussian.own_axes import EEV, VEV
from jaxem.families.gaussian.proportional import VEE, VEI
from jaxem.families.gaussian.shared_axes import EVE, VVE
from jaxem.families.gaussian.spherical import Spherical
from jaxem.families.gaussian.tied import Tied

FOUR: dict[str, Covariance] = {of.name: of() for of in (Full, Tied, Diag, Spherical)}
FOURTEEN: dict[str, Covariance] = {
    "EII": EII(), "VII": FOUR["spherical"],
    "EEI": EEI(), "VEI": VEI(), "EVI": EVI(), "VVI": FOUR["diag"],
    "EEE": FOUR["tied"], "VEE": VEE(), "EVE": EVE(), "VVE": VVE(),
    "EEV": EEV(), "VEV": VEV(), "EVV": EVV(), "VVV": FOUR["full"],
}  # fmt: skip
STRUCTURES: dict[str, Covariance] = {**FOUR, **FOURTEEN, "tied-diag": FOURTEEN["EEI"]}
