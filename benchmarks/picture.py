"""A report as one picture: time against n, k, d and starts, and rates against the ceilings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.findings import Report, Row
from jaxem.core.files import replacing
from jaxem.plot.style import PALETTE

_AXES = {"n": "rows n", "k": "components k", "d": "columns d", "starts": "starts"}
_COLOURS = {
    "jaxem": PALETTE[0],
    "scikit-learn": PALETTE[1],
    "scikit-learn, kmeans": PALETTE[1],
    "scikit-learn, random_from_data": PALETTE[3],
    "gmmx": PALETTE[2],
    "pomegranate": PALETTE[4],
    "scikit-learn on torch": PALETTE[3],
}


def draw(report: Report, path: Path) -> None:
    """The picture as a file, whole or not at all."""
    figure = Figure(figsize=(15, 9), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for ax, along in zip(axes, _AXES, strict=False):
        _times(ax, along, report.findings.rows)
    _rates(axes[4], report)
    _ratios(axes[5], report)
    facts = report.environment
    figure.suptitle(
        f"{facts['machine']}, {facts['cores']} cores, device {facts['device']}, "
        f"jax {facts['versions']['jax']}, {facts['date']}"
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _times(ax: Axes, along: str, rows: Iterable[Row]) -> None:
    """Medians, with bars from the least to the most of the rounds."""
    own = [row for row in rows if row.case == f"time against {along}" and row.median is not None]
    for name in dict.fromkeys(row.program for row in own):
        line = sorted((r for r in own if r.program == name), key=lambda r: r.sizes[along])
        sizes = [row.sizes[along] for row in line]
        median = np.array([row.median for row in line])
        below = median - [row.least for row in line]
        above = np.array([row.most for row in line]) - median
        ax.errorbar(sizes, median, yerr=[below, above], label=name, color=_COLOURS[name],
                    marker="o", markersize=4, capsize=2)  # fmt: skip
    _axis(ax, along, own)


def _axis(ax: Axes, along: str, own: list[Row]) -> None:
    ax.set(
        xlabel=_AXES[along], ylabel=f"seconds {'a fit' if along == 'starts' else 'an iteration'}"
    )
    if not own:
        ax.set_title("not measured", fontsize="small")
        return
    ax.set(xscale="log", yscale="log")
    sizes = sorted({row.sizes[along] for row in own})
    ax.set_xticks(sizes, [_count(size) for size in sizes])
    ax.minorticks_off()
    row = own[0]
    fixed = " ".join(f"{name}={_count(n)}" for name, n in row.sizes.items() if name != along)
    ax.set_title(f"{row.structure}, {row.dtype}, {fixed}", fontsize="small")
    ax.grid(True, which="major", alpha=0.3)
    ax.legend(fontsize="small")


def _rates(ax: Axes, report: Report) -> None:
    """jaxem's own rates, against arithmetic intensity, under the roofs of the ceilings."""
    rows = [r for r in report.findings.rows if r.program == "jaxem" and r.rate is not None]
    # What the floor reads: the data once, an iteration.
    works = [(r, r.rate * r.median / (r.sizes["n"] * r.sizes["d"] * _bytes(r))) for r in rows]
    if not works:
        ax.set_title("no rate measured", fontsize="small")
        return
    span = np.geomspace(min(w for _, w in works) / 2, max(w for _, w in works) * 2, 100)
    for i, dtype in enumerate(("float32", "float64")):
        product = report.ceilings.get(f"{dtype} product")
        if product is None:
            continue
        roof = np.minimum(product, span * report.ceilings["copy"])
        ax.plot(span, roof / 1e9, color=PALETTE[i], label=f"ceilings, {dtype}")
        own = [(r, w) for r, w in works if r.dtype == dtype]
        ax.plot([w for _, w in own], [r.rate / 1e9 for r, _ in own], "o", color=PALETTE[i],
                label=f"jaxem, {dtype}" if own else None, alpha=0.7)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="flops for each byte of the data")
    ax.set_ylabel("GFLOP/s, each symmetric product once")
    ax.set_title("achieved rates and the ceilings", fontsize="small")
    ax.grid(True, which="major", alpha=0.3)
    ax.legend(fontsize="small")


def _ratios(ax: Axes, report: Report) -> None:
    """Every judged ratio as a bar, its target as a line across it, its name on it."""
    judged = [f for f in report.findings.figures if f.unit == "x" and f.measured is not None]
    if not judged:
        ax.set_title("no ratio measured", fontsize="small")
        return
    places = np.arange(len(judged))
    ax.barh(places, [f.measured for f in judged], color=PALETTE[5], alpha=0.5, height=0.8)
    targets: list[Any] = [np.nan if f.target is None else f.target for f in judged]
    ax.plot(targets, places, "|", color=PALETTE[3], markersize=12, markeredgewidth=2,
            label="target")  # fmt: skip
    for place, figure in zip(places, judged, strict=True):
        ax.text(0.01, place, f"{figure.measured:.3g}  {figure.what}", fontsize=6, va="center",
                transform=ax.get_yaxis_transform())  # fmt: skip
    ax.set_yticks([])
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="measured ratio")
    ax.set_title("ratios and their targets", fontsize="small")
    ax.legend(fontsize="small", loc="lower right")


def _count(size: int) -> str:
    """A size in at most three digits where it has no more: 2, 64, 300k, 10M."""
    for unit, name in ((1_000_000, "M"), (1000, "k")):
        if size >= unit:
            return f"{size / unit:g}{name}"
    return str(size)


def _bytes(row: Row) -> int:
    return np.dtype(row.dtype).itemsize
