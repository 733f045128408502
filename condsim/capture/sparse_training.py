"""A model with sparse weights → a trace: what its masks were, and what every strategy executes.

A step of the trace is an entry of the history of masks: one training step (or one forward) with the
masks of that moment. Programs are recorded with random masks, so that every size of theirs is known
as a function of the weights, rows, columns and blocks that are there.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from condsim.capture.capture_trace import Progress, one_thread
from condsim.capture.closing import checked
from condsim.capture.fit import Fitter, Run
from condsim.capture.header import Labels, notes_of, provenance_of
from condsim.capture.probe import key, probing_sizes
from condsim.errors import CondsimError
from condsim.live.adapters import find_sites
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.masks import MaskHistory, masks_now
from condsim.live.model import LiveModel
from condsim.live.sparse_weights import SparseWeight, sparse_weights
from condsim.live.train_step import record_step
from condsim.program import Op, Program
from condsim.program.logical import op_flops
from condsim.program.regime import Regime
from condsim.record.nest import tree
from condsim.record.recorder import Recorder
from condsim.record.step_events import Learned
from condsim.steps.patterns import pattern_extents, pattern_of
from condsim.strategies import name_of
from condsim.trace import Decisions, Header, Site, Trace
from condsim.trace.columns import TRAINED
from condsim.trace.encoding import in_memory
from condsim.trace.header import UnitRows, file_name

MOST_KEPT = 8
"""Columns of the dense weight of same-flops are from 1 to so many in probing runs."""
FEWEST = 2
"""Rows and columns that hold a weight in probing runs."""
FEW_UNITS, MORE_UNITS = 8, 16
"""Units of the steps whose FLOPs give those of one unit."""


def capture_masked(
    live: LiveModel,
    batches: Sequence[Batch],
    labels: Labels,
    history: MaskHistory | None,
    progress: Progress = lambda _what, _done, _of: None,
) -> Trace:
    """The trace of a model with sparse weights.

    batches: of inputs, in turn one an entry of the history. history: None for the masks that the
    model has now. Raises CondsimError where masks are not the model's, and for a model that decides
    about rows as well.
    """
    if live.micro_batches > 1:
        raise CondsimError(
            f"accumulate: steps with masks are captured with one micro-batch, got "
            f"{live.micro_batches}; capture with Training(accumulate=1)"
        )
    history = _history(live, history)
    sites = _sites(live)
    units = [batch.without_positions() for batch in batches]
    live.sites = list(sites)
    live.infos = {site.name: site.info for site in sites}
    programs = _probe(live, units[0], sites, progress)
    masks = [history.masks(entry) for entry in range(len(history))]
    header = _header(live, sites, programs, labels)
    rows = [units[entry % len(units)].units for entry in range(len(history))]
    columns = {"phase": live.phase, "units": rows, "seq": 1, "past": 0}
    steps = pd.DataFrame(columns | {TRAINED: history.iterations})
    decisions = {}
    for site in sites:
        of_site = np.concatenate([of_entry[site.name] for of_entry in masks])
        decisions[site.name] = Decisions(of_site)
    trace = Trace(header, steps, programs, in_memory(decisions))
    for site in sites:
        site.mask = masks[0][site.name]
    return checked(live, units[0], trace)


def _history(live: LiveModel, history: MaskHistory | None) -> MaskHistory:
    if history is None:
        history = MaskHistory()
        history.put(masks_now(live.model), 0)
    history.check(live.model)
    return history


def _sites(live: LiveModel) -> list[SparseWeight]:
    """The layers with masks. Raises CondsimError for a model that decides about rows as well."""
    others = [site.name for site in find_sites(live.model)]
    if others:
        raise CondsimError(
            f"masks: the model decides about rows too ({others[0]}); capture either without the "
            "other: remove the masks (torch.nn.utils.prune.remove), or the part that decides"
        )
    return sparse_weights(live.model)


# Programs


@dataclass
class _Prober:
    """Runs a model with random masks. sites: its layers with masks."""

    live: LiveModel
    batch: Batch
    sites: Sequence[SparseWeight]

    def program(self, assignment: Mapping[str, str], regime: Regime) -> Program:
        """Record and fit one program. Raises Misfit where runs differ in their operators."""
        recorded = []
        for number, (units, _) in enumerate(probing_sizes(regime, None)):
            extents = self._draw(number)
            recorder = self._record(assignment, units)
            recorded.append((extents | {"batch": units}, recorder))
        learned = Learned({})
        for _, recorder in recorded:
            learned.learn(recorder)
        runs = []
        for sizes, recorder in recorded:
            runs.append(Run(sizes, tree(recorder, {}, learned), {}))
        return Fitter().program(name_of(assignment), str(regime), runs)

    def _draw(self, number: int) -> dict[str, int]:
        """Give every layer another mask; returns the extents of these. number: of the run."""
        extents = {}
        for place, site in enumerate(self.sites):
            rng = np.random.default_rng([number, place])
            site.mask = random_mask(site.mask.shape, rng)
            site.kept = int(rng.integers(1, 1 + min(MOST_KEPT, site.mask.shape[1])))
            pattern = pattern_of(site.mask)[None]
            for name, value in pattern_extents(site.name, pattern, site.kept).items():
                extents[name] = int(value[0])
        return extents

    def _record(self, assignment: Mapping[str, str], units: int) -> Recorder:
        execution = Execution(dict(assignment))
        batch = self.batch.resized(units)
        if self.live.training is not None:
            return record_step(self.live, batch, execution)
        return self.live.record(batch, execution)


def random_mask(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A mask some of whose rows and columns hold no weight, bool `shape`.

    FEWEST rows and columns do: products with one row run other operators.
    """
    rows, columns = shape
    live_rows = rng.permutation(rows)[: rng.integers(min(FEWEST, rows), rows + 1)]
    live_columns = rng.permutation(columns)[: rng.integers(min(FEWEST, columns), columns + 1)]
    density = rng.uniform(0.02, 0.6)
    inside = rng.random((len(live_rows), len(live_columns))) < density
    corner = inside[:FEWEST, :FEWEST]
    corner |= np.eye(*corner.shape) > 0
    mask = np.zeros(shape, bool)
    mask[np.ix_(live_rows, live_columns)] = inside
    return mask


def _probe(
    live: LiveModel, batch: Batch, sites: Sequence[SparseWeight], progress: Progress
) -> dict[str, Program]:
    """The programs of all strategies and baselines, by name. Masks are the model's afterwards."""
    own = [(site, site.mask) for site in sites]
    prober = _Prober(live, batch, sites)
    ways = live.assignments()
    regimes = [Regime(live.phase, single) for single in (True, False)]
    programs = {}
    with one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse")
        for number, assignment in enumerate(ways):
            progress("probe", number, len(ways))
            for regime in regimes:
                programs[key(assignment, regime)] = prober.program(assignment, regime)
    for site, mask in own:
        site.mask = mask
    return programs


# Header


def _header(
    live: LiveModel,
    sites: Sequence[SparseWeight],
    programs: Mapping[str, Program],
    labels: Labels,
) -> Header:
    dense = programs[f"same-params/{Regime(live.phase, single=False)}"]
    described = tuple(_described(site, dense) for site in sites)
    return Header(
        name=labels.name,
        sites=described,
        captured=live.captured,
        notes=notes_of(live),
        provenance=provenance_of(live.model, labels),
    )


def _described(site: SparseWeight, dense: Program) -> Site:
    """A site as the header describes it. dense: the program that runs all weights."""
    rows, columns = site.mask.shape
    flops = weight_flops(dense, site.name, rows * columns)
    return Site(
        name=site.name,
        mechanism=site.info.mechanism,
        branches=columns,
        encoding="bits",
        scope="step",
        stored=file_name(site.name),
        unit_rows=UnitRows(a_position=0, a_unit=0, a_step=rows),
        branch_flops=(flops,) * columns,
    )


def weight_flops(dense: Program, module: str, weights: int) -> float:
    """FLOPs that a weight costs a unit: in a training step with both of its gradients.

    dense: the program that runs all weights. module: the layer. weights: of the layer.
    """
    few, more = (_module_flops(dense, module, units) for units in (FEW_UNITS, MORE_UNITS))
    return (more - few) / (MORE_UNITS - FEW_UNITS) / weights


def _module_flops(program: Program, module: str, units: int) -> float:
    """FLOPs of the products of a module."""
    extents = dict(program.probed[-1]) | {"batch": units}
    flops = 0.0
    for node in program.root.nodes:
        if isinstance(node, Op) and node.module == module:
            flops += op_flops(node, extents)
    return flops
