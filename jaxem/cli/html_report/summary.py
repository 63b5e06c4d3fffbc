"""What was fitted, in plain words."""

from typing import Any

import numpy as np

from jaxem.cli import metadata, report
from jaxem.cli.columns import listed
from jaxem.cli.found import Fitted
from jaxem.cli.html_report.markup import Html, element, joined, paragraphs, table
from jaxem.core.status import Status
from jaxem.families import Gaussian, LinearRegression, Product, StudentT
from jaxem.families.generalized_regression import GeneralizedRegression
from jaxem.models import HMM

_COVARIANCES = {
    "full": "each {part} has its own spread and its own correlations",
    "tied": "all {part}s have the same spread and the same correlations",
    "diag": "each {part} has its own spread in each column, and no correlations",
    "spherical": "each {part} has one spread, the same in all columns, and no correlations",
}
_ENDINGS = {
    Status.CONVERGED: "The fit converged.",
    Status.PRECISION: "The fit converged, as far as the precision of the numbers goes.",
    Status.MAX_ITER: "The fit did not converge: it ran out of iterations.",
    Status.DECREASED: "The fit did not converge: rounding stopped it.",
    Status.DEGENERATE: "The fit is degenerate: do not use it as it is.",
    Status.NONFINITE: "The fit failed: infinite or undefined numbers appeared.",
    Status.CONSTRAINED: "Every start collapsed: this is the best fit that was kept from it.",
}


def part_of(model: Any) -> str:
    """What one of its parts is called."""
    return "state" if isinstance(model, HMM) else "component"


def row_of(part: str) -> str:
    """What a row of the table is called, where its parts are called so."""
    return "step" if part == "state" else "row"


def section(fitted: Fitted) -> Html:
    """The model, how its fit ended, and its figures."""
    model: Any = fitted.result.provenance.model
    data, notes = fitted.data, fitted.notes
    n = len(data.names) - data.n_covariates
    own, covariates = data.names[:n], data.names[n:]
    told = f"{report.several(n, 'column')} fitted: {listed(own)}"
    told += f"; the weights depend on {listed(covariates)}" if covariates else ""
    size = f": {fitted.result.provenance.n_rows:,} rows, {told}."
    size = joined([element("strong", data.about), size])
    facts = table(("", ""), metadata.words(notes).items(), "figures of the fit")
    return element(
        "section",
        paragraphs(size, joined([_divided(model), " ", _kind(model, n)]), _ended(fitted)),
        element("details", element("summary", "All figures of the fit"), facts),
    )


def _divided(model: Any) -> Html:
    k, part = model.n_components, part_of(model)
    if isinstance(model, HMM):
        what = "The rows are steps in time, each of them in one of "
        rest = "; the state of a step depends on that of the step before."
    elif k == 1:
        return Html("The model is one component: all rows are alike.")
    else:
        what, rest = "The model divides the rows into ", ": clusters of rows that are alike."
    return joined([what, element("strong", report.several(k, part)), rest])


def _kind(model: Any, n_columns: int) -> str:
    """The family in a sentence."""
    of, part = model.family, part_of(model)
    if isinstance(of, Gaussian | StudentT):
        law = "normal" if isinstance(of, Gaussian) else "t"
        name = of.covariance.name
        spread = _COVARIANCES.get(name, f"their covariances are of the structure {name} of mclust")
        more = "" if law == "normal" else ", in which outliers count less"
        return f"Each {part} is a {law} distribution{more}; {spread.format(part=part)}."
    if isinstance(of, Product):
        return f"Within a {part}, columns of different kinds are independent."
    if isinstance(of, LinearRegression | GeneralizedRegression):
        return f"Each {part} is a regression of the last column on the others."
    law = f"a distribution of the family {report.family(model)}"
    if n_columns == 1:
        return f"Within a {part}, the column has {law}."
    return f"Within a {part}, each column has {law}, whatever the others are."


def _ended(fitted: Fitted) -> str:
    """How the fit ended, and what the starts say of it."""
    run = fitted.found.best
    status = Status(int(run.result.status))
    said = _ENDINGS[status] if run.complete else "The fit was interrupted: this is the best so far."
    n_best = int(run.result.restarts.n_best)
    if len(fitted.found.runs) > 1 and run.regular:
        said += f" Of {len(fitted.found.runs)} candidates it has the lowest BIC."
    if run.n_starts > 1 and run.regular and np.isfinite(run.result.log_likelihood):
        said += f" {n_best} of {run.n_starts} starts reached this solution."
    return said
