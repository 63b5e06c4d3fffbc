"""The components or states, one beside the other: their sizes, and every column in each."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxem.cli import parameter_tables
from jaxem.cli.found import Fitted
from jaxem.cli.html_report.markup import Cell, Html, element, paragraphs, table
from jaxem.cli.html_report.summary import part_of
from jaxem.cli.parameter_tables import Part, parts_of, rounded
from jaxem.families import Bernoulli, Categorical, Poisson
from jaxem.models import HMM, transitions
from jaxem.plot import style

_TOLD, _LEAST = 3, 0.5  # columns that a part is told by, and how far off the table they are
_DARKEST = 2.0  # standard deviations


class Line(NamedTuple):
    """A number of a column in each component, and in the whole table.

    label: which number; beside: standard deviations to stand beside it. whole, spread: mean and
    standard deviation over the table, NaN where it has no such number. share: whether it is a
    probability.
    """

    column: str
    label: str
    values: np.ndarray
    beside: np.ndarray | None = None
    whole: float = np.nan
    spread: float = np.nan
    share: bool = False

    @property
    def distance(self) -> np.ndarray:
        """From the whole table, in its standard deviations."""
        if not self.spread > 0:
            return np.zeros(len(self.values))
        return np.nan_to_num((self.values - self.whole) / self.spread)


def section(fitted: Fitted) -> Html:
    """Every column in every part, and what sets each part apart."""
    model: Any = fitted.result.provenance.model
    part, found = part_of(model), lines(fitted)
    shares, called = sizes(fitted.result), "share of steps" if part == "state" else "weight"
    heads = [element("span", _swatch(k), f"{part} {k}", class_="part") for k in range(len(shares))]
    rows = [[called, "", *(Cell(_percent(v), "share", _bar(v)) for v in shares), ""]]
    before = None
    for line in found:
        name = "" if line.column == before else line.column
        width = f"min-width:min({len(name) + 3}ch, 16rem, 34vw)"
        rows.append([Cell(name, "name", width), line.label, *_cells(line), _whole(line)])
        before = line.column
    return element(
        "section",
        element("h2", f"The {part}s"),
        paragraphs(_explained(part, found)),
        element("ul", *(_told(k, part, v, found) for k, v in enumerate(shares))),
        table(("column", "", *heads, "all rows"), rows, f"profiles of the {part}s"),
        *(_odds(fitted, heads) if model.n_covariates else ()),
    )


def _odds(fitted: Fitted, heads: Sequence[Html]) -> list[Html]:
    """What the columns that the weights depend on do to them."""
    data = fitted.data
    found = parameter_tables.log_odds(fitted.result.params, data.names, data.levels)
    rows = [[Cell(line.column, "name"), *map(_plain, line.values[1:])] for line in found]
    beside = ["noise"] * fitted.result.provenance.model.n_beside
    return [
        element("h3", "What the weights depend on"),
        paragraphs(
            "Log odds of each component against component 0: where a column is larger by one, the "
            "odds are larger by a factor of exp of its number. The weights above are means over "
            "the rows."
        ),
        table(("column", *heads[1:], *beside), rows, "log odds of the components"),
    ]


def lines(fitted: Fitted) -> list[Line]:
    """Those of every column; what the whole table has is of the rows that were fitted."""
    result, data = fitted.result, fitted.data
    cells = cells_of(data.x)
    found = []
    for part in parts_of(result.provenance.model, result.params, data.names):
        found += _lines_of(part, cells[:, part.place], data.levels)
    return found + _stays(result)


def _stays(result: Any) -> list[Line]:
    """How long the chain stays in each state."""
    if not isinstance(result.provenance.model, HMM):
        return []
    stay = np.diagonal(np.asarray(result.params.transition, float))
    with np.errstate(divide="ignore"):
        return [Line("expected stay", "steps", 1 / (1 - stay))]


def cells_of(x: Any) -> np.ndarray:
    """The rows as one matrix, NaN where a cell is missing; steps sequence after sequence."""
    if isinstance(x, list):
        return np.concatenate([cells_of(own) for own in x])
    leaves = [np.asarray(leaf, float) for leaf in jax.tree.leaves(x)]
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def _lines_of(part: Part, cells: np.ndarray, levels: Any) -> Iterator[Line]:
    if isinstance(part.family, tuple(parameter_tables.LOCATED)):
        yield from _located(part, cells)
        return
    place, before = -1, None
    level = 0
    for name, label, values in parameter_tables.rows_of(part, levels):
        if name != before:
            place, level, before = place + 1, 0, name
        line = Line(name, label, np.asarray(values, float))
        if isinstance(part.family, Categorical | Bernoulli):
            own = cells[:, place]
            wanted = level if isinstance(part.family, Categorical) else 1
            yield _of_level(line, own[np.isfinite(own) & (own >= 0)] == wanted)
        elif label == "mean" or isinstance(part.family, Poisson):
            yield _of_numbers(line, cells[:, place])
        else:
            yield line
        level += 1


def _located(part: Part, cells: np.ndarray) -> Iterator[Line]:
    means, deviations, *tails = parameter_tables.moments(part)
    spread, *others = parameter_tables.LOCATED[type(part.family)]
    label = "location ± scale" if spread == "scale" else "mean ± sd"
    for j, name in enumerate(part.names):
        line = Line(name, label, np.asarray(means[:, j], float), np.asarray(deviations[:, j]))
        yield _of_numbers(line, cells[:, j])
    for name, values in zip(others, tails, strict=True):
        yield Line("", name.replace("deg.", "degrees of"), np.asarray(values, float))


def _of_numbers(line: Line, column: np.ndarray) -> Line:
    seen = column[np.isfinite(column)]
    return line._replace(whole=float(seen.mean()), spread=float(seen.std())) if len(seen) else line


def _of_level(line: Line, is_it: np.ndarray) -> Line:
    if not len(is_it):
        return line._replace(share=True)
    return line._replace(whole=float(is_it.mean()), spread=float(is_it.std()), share=True)


def sizes(result: Any) -> np.ndarray:
    """The weights of the components; of states the shares of steps that the chain settles to."""
    if not isinstance(result.provenance.model, HMM):
        return np.asarray(result.params.weights, float)
    return np.asarray(transitions.stationary(jax.device_put(result.params.transition)), float)


# ---- in words


def _explained(part: str, found: Sequence[Line]) -> str:
    text = f"Numbered as jaxem {'decode' if part == 'state' else 'predict'} and the pictures do. "
    text += "The last column is the whole table. "
    if any(line.beside is not None for line in found):
        text += "± is the standard deviation within. "
    if any(line.spread > 0 and not line.share for line in found):
        text += "A cell is orange where its mean is above that of the table, and blue where below. "
    if any(line.share for line in found):
        text += "Bars are probabilities."
    return text.strip()


def _told(k: int, part: str, size: float, found: Sequence[Line]) -> Html:
    """What sets a part apart: its columns that are furthest from the whole table."""
    far = sorted(found, key=lambda line: -abs(line.distance[k]))[:_TOLD]
    words = [_difference(line, k) for line in far if abs(line.distance[k]) >= _LEAST]
    told = "; ".join(words)
    if not told and any(line.spread > 0 for line in found):
        told = "near the average of the table in every column"
    name = element("strong", f"{part} {k}")
    return element("li", _swatch(k), name, f", {_percent(size)}{told and ': '}{told}")


def _difference(line: Line, k: int) -> str:
    if line.share:
        word = "often" if line.distance[k] > 0 else "seldom"
        name = f"{line.column} {word} {line.label[2:-1]}"
        return f"{name} ({_percent(line.values[k])}; all rows {_percent(line.whole)})"
    way = "high" if line.distance[k] > 0 else "low"
    return f"{line.column} {way} ({_plain(line.values[k])}; all rows {_plain(line.whole)})"


# ---- cells


def _cells(line: Line) -> list[Cell]:
    if line.share:
        return [Cell(_percent(v), "share", _bar(v)) for v in line.values]
    texts = list(map(_plain, line.values))
    if line.beside is not None:
        each = [rounded(float(m), float(s)) for m, s in zip(line.values, line.beside, strict=True)]
        texts = [f"{mean} ± {deviation}" for mean, deviation in each]
    return [Cell(*of) for of in zip(texts, *_tints(line.distance), strict=True)]


def _tints(distance: np.ndarray) -> tuple[list[str], list[str]]:
    strength = np.minimum(np.abs(distance) / _DARKEST, 1.0)
    kinds = ["above" if own > 0 else "below" if own < 0 else "" for own in distance]
    return kinds, [f"--s:{own:.2f}" for own in strength]


def _whole(line: Line) -> Cell:
    if not np.isfinite(line.whole):
        return Cell("")
    if line.share:
        return Cell(_percent(line.whole), "share", _bar(line.whole))
    if line.beside is None:
        return Cell(_plain(line.whole))
    mean, deviation = rounded(line.whole, line.spread)
    return Cell(f"{mean} ± {deviation}")


def _plain(value: float) -> str:
    """Four digits; large numbers in full."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if np.isfinite(value) else "-"


def _bar(value: float) -> str:
    return f"--v:{100 * value:.1f}%" if np.isfinite(value) else ""


def _swatch(k: int) -> Html:
    return element("span", class_="swatch", style=f"background:{style.colour(k)}")
