"""The pictures of a page: small ones, each with a caption."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import jaxem
from jaxem import plot
from jaxem.analysis.select import Selection
from jaxem.cli.found import Fitted
from jaxem.cli.html_report import profiles
from jaxem.cli.html_report.certainty import SURE, Rows
from jaxem.cli.html_report.markup import Html, element, picture
from jaxem.cli.parameter_tables import Part, parts_of
from jaxem.families import Bernoulli, Categorical, Gaussian, Product, StudentT
from jaxem.models import HMM, Mixture, MixtureParams
from jaxem.plot import columns, style
from jaxem.plot.regressions import is_regression

_SIZE = (4.9, 4.2)  # inches
_MOST = 6  # columns drawn one by one


class Drawing(NamedTuple):
    """A caption, and what draws the picture on given axes."""

    caption: str
    draw: Callable[..., Any]


def section(fitted: Fitted, rows: Rows, selection: Selection | None) -> Html:
    """Those that the model has, and the search."""
    drawn = [*_of_model(fitted, rows), *_of_search(fitted, selection)]
    if not drawn:
        return Html()
    return element(
        "section",
        element("h2", "Pictures"),
        element("div", *map(_drawn, drawn), class_="pictures"),
    )


def _drawn(drawing: Drawing) -> Html:
    figure = Figure(figsize=_SIZE, layout="constrained")
    ax = figure.subplots()
    drawing.draw(ax=ax)
    style.share_legend(figure, [ax], n_columns=2)
    return picture(figure, drawing.caption)


def _of_search(fitted: Fitted, selection: Selection | None) -> Iterator[Drawing]:
    if selection is not None:
        yield Drawing("The candidates: BIC, lower is better", partial(plot.criterion, selection))
    if fitted.found.best.n_starts > 1:
        yield Drawing("All starts, in falling order", partial(plot.starts, fitted.result))


def _of_model(fitted: Fitted, rows: Rows) -> Iterator[Drawing]:
    result, data = fitted.result, fitted.data
    model: Any = result.provenance.model
    if isinstance(model, HMM):
        yield from _of_chain(fitted, model)
    elif isinstance(model.family, Categorical | Bernoulli):
        items = data.names[: len(data.names) - data.n_covariates]
        classes = jaxem.latent_classes(model, result.params, data.x, columns=items)
        draw = partial(plot.item_profiles, classes, levels=data.levels)
        yield Drawing("What each component answers", draw)
    elif is_regression(model):
        yield from _of_regressors(fitted, model)
    elif not model.n_covariates:  # whose rows have densities of their own
        if isinstance(model.family, Gaussian | StudentT):
            yield from _of_points(fitted, model, rows)
        yield from _of_columns(fitted)
    if model.n_covariates:
        yield from _of_covariates(fitted, model)


def _of_regressors(fitted: Fitted, model: Any) -> Iterator[Drawing]:
    """The response against the regressors."""
    *regressors, response = fitted.data.names[: len(fitted.data.names) - model.n_covariates]
    for j, name in enumerate(regressors[:_MOST]):
        given = model, fitted.result.params, fitted.data.x
        draw = partial(plot.regression, *given, regressor=j, names=[*regressors, response])
        yield Drawing(f"{response} by {name}, and what each component expects", draw)


def _of_covariates(fitted: Fitted, model: Any) -> Iterator[Drawing]:
    """The weights against what they depend on."""
    covariates = fitted.data.names[len(fitted.data.names) - model.n_covariates :]
    for j, name in enumerate(covariates[:_MOST]):
        given = model, fitted.result.params, fitted.data.x[1]
        draw = partial(plot.concomitant_weights, *given, column=j, names=covariates)
        yield Drawing(f"The weights of the components by {name}", draw)


def _of_points(fitted: Fitted, model: Any, rows: Rows) -> Iterator[Drawing]:
    """Pairs of the columns that tell the components apart most, and the uncertainty of the rows."""
    names = fitted.data.names
    given = model, fitted.result.params, fitted.data.x
    places = sorted(map(names.index, _telling(fitted)[:3]))
    for pair in [(a, b) for a in places for b in places if a < b]:
        called = " and ".join(names[j] for j in pair)
        draw = partial(plot.clusters, *given, columns=pair, names=names)
        yield Drawing(f"The rows and the components: {called}", draw)
    if np.any(rows.largest < SURE):
        draw = partial(plot.uncertainty, *given, columns=(), names=names)
        yield Drawing("How uncertain the component of each row is", draw)


def _of_columns(fitted: Fitted) -> Iterator[Drawing]:
    """The densities of the columns that tell the components apart most."""
    first = _telling(fitted)[:_MOST]
    for model, part, x in _parts(fitted):
        if isinstance(x, tuple) or columns.kind(part.family, len(part.names)) is None:
            continue
        for j, name in enumerate(part.names):
            if name in first and not isinstance(part.family, Categorical | Bernoulli):
                given = model, part.params, x
                draw = partial(plot.density, *given, column=j, names=part.names)
                yield Drawing(f"{name}: its distribution, and that within the components", draw)


def _parts(fitted: Fitted) -> Iterator[tuple[Any, Part, Any]]:
    """-> a mixture of each family, its parameters among those of the part, and its rows."""
    result, data = fitted.result, fitted.data
    model: Any = result.provenance.model
    parts = parts_of(model, result.params, data.names)
    if not isinstance(model.family, Product):
        yield model, parts[0]._replace(params=result.params), data.x
        return
    for (block, family), part in zip(model.family.blocks, parts, strict=True):
        params = MixtureParams(result.params.weights, part.params)
        yield Mixture(family, model.n_components), part._replace(params=params), data.x[block]


def _of_chain(fitted: Fitted, model: Any) -> Iterator[Drawing]:
    data, params = fitted.data, fitted.result.params
    name = next(iter(_telling(fitted)), data.names[0])
    given = {"column": data.names.index(name), "names": data.names}
    draw = partial(plot.decoded, model, params, data.x, **given)
    yield Drawing(f"{name}: the most likely path of states, of the first sequence", draw)
    if columns.kind(model.family, len(data.names)) is not None:
        draw = partial(plot.density, model, params, data.x, **given)
        yield Drawing(f"{name}: its distribution, and that within the states", draw)
    draw = partial(plot.transition_matrix, model, params)
    yield Drawing("How probable each state is after each other", draw)


def _telling(fitted: Fitted) -> Sequence[str]:
    """The columns by how far their parts are from the whole table, the furthest first."""
    lines, sizes = profiles.lines(fitted), profiles.sizes(fitted.result)
    far = {name: 0.0 for name in fitted.data.names}
    for line in lines:
        if line.column in far:
            own = float(np.nansum(sizes * line.distance**2))
            far[line.column] = max(far[line.column], own)
    return sorted(far, key=lambda name: -far[name])
