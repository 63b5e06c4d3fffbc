"""How does the time of an iteration grow with n, k or d? A row for each size."""

from dataclasses import dataclass, replace

from benchmarks.bench import Bench
from benchmarks.findings import Figure, Findings
from benchmarks.iteration import Iteration, worst_growth


@dataclass(frozen=True)
class Growth:
    base: Iteration
    along: str  # n, d or k
    sizes: tuple[int, ...]
    peers_until: int  # the largest size at which the peers take part
    linear_within: float | None = None  # target: per cent

    @property
    def name(self) -> str:
        return f"time against {self.along}"

    def run(self, bench: Bench) -> Findings:
        found = Findings()
        for size in self.sizes:
            changed = {self.along: size, "name": self.name}
            if size > self.peers_until:
                changed["peers"] = ()
            found += replace(self.base, **changed).run(bench)
        return found if self.linear_within is None else found + Findings([], [self._judge(found)])

    def _judge(self, found: Findings) -> Figure:
        base = self.base
        ours = [row for row in found.rows if row.program == "jaxem"]
        times = [row.median or 0.0 for row in ours]
        what = (
            f"{base.structure}, d={base.d} k={base.k}, {base.dtype}: growth of the time per row "
            f"from n={min(self.sizes):,} to {max(self.sizes):,}"
        )
        grown = worst_growth(list(self.sizes), times) if min(times) > 0 else None
        return Figure(what, "%", grown, self.linear_within, at_least=False)
