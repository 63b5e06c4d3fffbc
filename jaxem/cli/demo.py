"""The demonstration: how many components the Old Faithful data has, by BIC."""

import jax

from jaxem.cli import progress, report
from jaxem.cli.progress import Run
from jaxem.datasets import Dataset, load_faithful
from jaxem.families import Gaussian
from jaxem.fitting.fit import prepare
from jaxem.models.mixture import Mixture


def compare(max_components: int, n_starts: int, seed: int) -> int:
    """Fit 1 to `max_components` components, print them and the best; return the exit status."""
    data, table, out = load_faithful(), report.comparison(), report.output()
    runs: dict[int, Run] = {}
    aborted = False
    with progress.live(report.errors(), "", above=table) as line:
        for k in range(1, max_components + 1):
            line.title = f"k = {k}"
            try:
                run = _fit(data, k, n_starts, seed, line)
            except KeyboardInterrupt:
                aborted = True
                break
            report.compare(table, k, run)
            if run.complete:
                runs[k] = run
            if run.interrupted:
                break
    report.say(
        out,
        f"Old Faithful, {len(data.x)} rows, {' and '.join(data.columns)} in minutes: "
        f"1 to {max_components} components, full covariance, {n_starts} starts each.\n",
    )
    out.print(table, "")
    status = _conclude(runs, data.columns, interrupted=len(runs) < max_components)
    if aborted:
        progress.leave(status)
    return status


def _fit(data: Dataset, k: int, n_starts: int, seed: int, line: progress.Line) -> Run:
    key = jax.random.key(seed)
    model = Mixture(Gaussian("full"), k)
    job = prepare(model, data.x, key=key, n_init=n_starts, init="portfolio")
    return progress.run(job, line)


def _conclude(runs: dict[int, Run], names: tuple[str, ...], interrupted: bool) -> int:
    """Name and print the best of the fits that converged to a regular optimum."""
    if interrupted:
        finished = report.several(len(runs), "fit")
        report.complain(f"interrupted: the best so far, of {finished} that ended")
    bic = {k: float(run.result.bic) for k, run in runs.items() if run.result.converged}
    if not bic and not interrupted:
        report.complain("no fit converged to a regular optimum; take more --starts")
    if not bic:
        return report.INTERRUPTED if interrupted else report.NOT_CONVERGED
    k = min(bic, key=lambda k: bic[k])
    report.say(report.output(), f"The lowest BIC, {bic[k]:.2f}, is that of k = {k}.")
    status = report.conclude(runs[k], names, "Old Faithful")
    return report.INTERRUPTED if interrupted else status
