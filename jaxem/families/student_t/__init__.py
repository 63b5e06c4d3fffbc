"""Multivariate t components, over the covariance structures of Gaussian ones."""

from jaxem.families.student_t.params import StudentTParams as StudentTParams
from jaxem.families.student_t.student_t import StudentT as StudentT
