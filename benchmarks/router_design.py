"""What is a router worth?

Quality and speed where its decisions are replaced by others.

    python -m benchmarks.router_design [MODEL ...] [--units N] [--write]

Each zoo model runs with its own decisions, with none (same-params), and with balanced, random and
perturbed ones (a tenth of the rows at random). Where units take one of few paths, every path is
run, and the oracle takes for each unit the cheapest of the best. The decisions that were taken are
then priced. --write: put the table into docs/router-design.md.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import condsim
from benchmarks.tables import markdown, replace_between
from condsim.capture.observe import Observation, StepSize, keep_decisions
from condsim.capture.sizes import learn_sizes, ordered
from condsim.live.execution import Execution
from condsim.live.force import WAYS, Asked
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS
from condsim.program.regime import PREFILL
from condsim.resources import resource
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory
from condsim.zoo import ZOO, load
from condsim.zoo.example import Example

DOCS = Path(__file__).parents[1] / "docs" / "router-design.md"
DEVICE = "raspberry-pi-5"
BATCH = 32
OWN, DENSE, ORACLE = "own", "dense", "oracle"
DRAWN = ("balanced", "random", "perturbed")
MOST_PATHS = 256
PERTURBED = 0.1


@dataclass(frozen=True)
class Subject:
    """A zoo model, its first inputs, and what was captured of it. trace: of these inputs only."""

    example: Example
    live: LiveModel
    batches: list[Batch]
    trace: Trace

    @classmethod
    def of(cls, name: str, units: int) -> Subject:
        example = load(name, batch=BATCH, batches=units // BATCH)
        live = LiveModel.of(example.model)
        batches = as_batches(example.inputs)
        learn_sizes(live, batches[0])
        whole = condsim.load(resource("traces") / name)
        return cls(example, live, batches, _observed(live, batches, example, whole, Execution))

    def forced(self, way: str) -> Trace:
        """The trace with the decisions of a way of `condsim.force`, and their quality."""
        rng = np.random.default_rng(0)

        def execution() -> Execution:
            return WAYS[way](Asked(way, self.live, self.trace, rng, PERTURBED))

        return _observed(self.live, self.batches, self.example, self.trace, execution)

    def quality(self, execution: Execution) -> np.ndarray:
        """Quality of each unit under an execution whose decisions are not kept."""
        return _quality(self.live, self.batches, self.example, lambda: execution)

    def oracle(self) -> Trace | None:
        """The trace where each unit takes the cheapest of its best paths; None where rows decide
        of their own, or there are too many paths."""
        paths = list(self._paths())
        if not paths:
            return None
        qualities = []
        for path in paths:
            forced = {site: np.full(BATCH, choice) for site, choice in path.items()}
            qualities.append(self.quality(Execution(forced=forced)))
        costs = np.array([self._cost(path) for path in paths])
        quality = np.stack(qualities)
        sign = 1 if self.example.higher_is_better else -1
        best = (sign * quality).max(axis=0)
        cost = np.where(sign * quality == best, costs[:, None], np.inf)
        taken = cost.argmin(axis=0)
        decisions = {}
        for site in self.trace.sites:
            choices = np.array([path.get(site.name, -1) for path in paths])
            decisions[site.name] = Decisions(choices[taken].astype(np.int16))
        of_units = quality[taken, np.arange(quality.shape[1])]
        return _with(self.trace, decisions, of_units)

    def _paths(self) -> Iterator[dict[str, int]]:
        """Every way of a unit through all sites, site → choice."""
        names = ordered(self.live.infos)
        sites = [self.trace.site(name) for name in names]
        if any(site.routing.family != "branched" or site.unit_rows.a_unit != 1 for site in sites):
            return
        if np.prod([site.branches for site in sites]) > MOST_PATHS:
            return
        seen: set[tuple[int, ...]] = set()
        for choices in itertools.product(*(range(site.branches) for site in sites)):
            path: dict[str, int] = {}
            for site, choice in zip(sites, choices, strict=True):
                if all(path.get(parent) == of for parent, of in site.parents):
                    path[site.name] = choice
            key = tuple(path.get(name, -1) for name in names)
            if key not in seen:
                seen.add(key)
                yield path

    def _cost(self, path: dict[str, int]) -> float:
        return sum(self.trace.site(name).branch_flops[choice] for name, choice in path.items())


def _observed(
    live: LiveModel, batches: list[Batch], example: Example, trace: Trace, make: Any
) -> Trace:
    """The trace with what the model decides on these batches under executions that `make` makes."""
    seen = Observation(unit_rows={site.name: site.unit_rows for site in trace.sites})
    execution = make()
    qualities = []
    for number, batch in enumerate(batches):
        execution.observed = {}
        output = live.run(batch, execution)
        keep_decisions(live, seen, execution, StepSize(PREFILL, batch.units, batch.seq, past=0))
        assert example.quality is not None
        qualities.append(example.quality(output, number))
    steps = pd.DataFrame(seen.steps)
    return _with(replace(trace, steps=steps), seen.joined(), np.concatenate(qualities))


def _quality(live: LiveModel, batches: list[Batch], example: Example, make: Any) -> np.ndarray:
    assert example.quality is not None
    execution = make()
    qualities = []
    for number, batch in enumerate(batches):
        qualities.append(example.quality(live.run(batch, execution), number))
    return np.concatenate(qualities)


def _with(trace: Trace, decisions: dict[str, Decisions], quality: np.ndarray) -> Trace:
    """A trace of other decisions and their quality."""
    table = pd.DataFrame({"conditional": quality})
    empty = trace.measurements.iloc[:0]
    return replace(trace, reader=in_memory(decisions), quality=table, measurements=empty)


def rows_of(name: str, units: int) -> Iterator[dict[str, Any]]:
    """A row a way to decide."""
    subject = Subject.of(name, units)
    ways = {OWN: subject.trace} | {way: subject.forced(way) for way in DRAWN}
    oracle = subject.oracle()
    if oracle is not None:
        ways[ORACLE] = oracle
    costliest = dict(subject.trace.header.costliest)
    dense = subject.quality(Execution({"*": "same-params"}, costliest=costliest))
    yield {"model": name, "decisions": DENSE, **_told(dense), "speedup": 1.0, "router": 0.0}
    for way, trace in ways.items():
        prediction = condsim.simulate(trace, DEVICE, batch=BATCH)
        segments = prediction.segments
        conditional = segments[segments["side"] == "conditional"]
        of_router = conditional["segment"].str.endswith(" router")
        share = conditional.loc[of_router, "seconds"].sum() / conditional["seconds"].sum()
        quality = trace.quality["conditional"].to_numpy()
        row = {"model": name, "decisions": way, **_told(quality)}
        yield {**row, "speedup": prediction.speedup, "router": float(share)}


def _told(quality: np.ndarray) -> dict[str, float]:
    return {"quality": float(quality.mean())}


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A row a model, a column a way: quality at speedup."""
    cells = table["quality"].map("{:.3f}".format) + " at " + table["speedup"].map("{:.2f}x".format)
    wide = table.assign(cell=cells).pivot(index="model", columns="decisions", values="cell")
    order = [DENSE, OWN, *DRAWN, ORACLE]
    wide = wide.reindex(columns=[way for way in order if way in wide])
    own = table[table["decisions"] == OWN].set_index("model")["router"]
    wide["router's share of time"] = own.map("{:.1%}".format)
    mechanisms = {name: MECHANISMS[ZOO[name].mechanism].title for name in wide.index}
    wide.insert(0, "mechanism", [mechanisms[name] for name in wide.index])
    return wide.reset_index()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=", ".join(ZOO))
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in given.models or list(ZOO):
        rows += rows_of(name, given.units)
        print(pd.DataFrame(rows[-6:]).to_string(), flush=True)
    text = markdown(shown(pd.DataFrame(rows)))
    print(text)
    if given.write:
        replace_between(DOCS, "router design", text)


if __name__ == "__main__":
    main()
