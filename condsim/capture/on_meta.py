"""A model on the meta device → what it executes: programs without decisions.

Layers that are alike are recorded once (`condsim.capture.layers`). A model without routing has one
program a regime, under the name `condsim.strategies.DENSE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils._pytree import tree_map

from condsim.capture.capture_trace import Progress, one_thread
from condsim.capture.decode_sites import with_decode_sites
from condsim.capture.header import Labels, notes_of, provenance_of, site_of
from condsim.capture.layers import LayerList, layer_lists, shortened
from condsim.capture.probe import CannotRun, Prober, costliest_branches, key
from condsim.capture.repeat import Unlike, repeated, repeated_names
from condsim.capture.sizes import settle
from condsim.capture.windows import windowed, windows_of
from condsim.errors import CondsimError
from condsim.live.execution import BASELINES, SiteInfo
from condsim.live.failures import ModelFails
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS
from condsim.program import Program
from condsim.program.logical import branch_flops, expert_flops
from condsim.program.regime import DECODE, PREFILL, Regime
from condsim.record.on_meta import is_on_meta
from condsim.routing import RoutingGenerator, drawn_trace
from condsim.routing.shares import Shares, with_shares
from condsim.strategies import name_of
from condsim.trace import Decisions, Header, Site, Trace
from condsim.trace.columns import STEP_COLUMNS
from condsim.trace.header import UnitRows
from condsim.untrusted import one_line

REGIMES = tuple(Regime(phase, single) for phase in (PREFILL, DECODE) for single in (True, False))

Routing = RoutingGenerator | Trace | Shares
"""What says what a model without numbers decides."""
WAYS = 1 + len(BASELINES)
"""How a model is run: as it is, and as what it is compared with."""


@dataclass(frozen=True)
class Recorded:
    """What was recorded of a model, some of its layers left out.

    unit_rows: site → the rows that a unit has there.
    """

    live: LiveModel
    unit_rows: Mapping[str, UnitRows]
    programs: Mapping[str, Program]


def known_inputs(inputs: Any) -> Any:
    """Return inputs whose tensors on the meta device are zeros on the CPU, as long and as wide."""

    def known(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor) and leaf.is_meta:
            return torch.zeros(leaf.shape, dtype=leaf.dtype)
        return leaf

    return tree_map(known, inputs)


def capture_routed(
    model: torch.nn.Module,
    batches: Sequence[Batch],
    labels: Labels,
    routing: Routing | None,
    new_tokens: int,
    seed: int,
    progress: Progress,
) -> Trace:
    """The trace of a model on the meta device that decides what `routing` says.

    batches, new_tokens: the steps that a generator or shares decide in; recorded routing has its
    own.
    Raises CondsimError without routing, for a model with weights, and where the routing is of
    another model.
    """
    if not is_on_meta(model):
        raise CondsimError(
            "routing: this model has weights and decides for itself; capture it without routing=, "
            "and give the trace other decisions with trace.with_routing(...)"
        )
    if routing is None:
        raise CondsimError(
            "model: it is on PyTorch's meta device and has no numbers to decide with; pass "
            "routing=condsim.routing(...), condsim.fit_routing(...) or a trace, or, of what is no "
            "mixture, the share of rows that enter, go on or stay, or of neurons "
            "(weights that accelerate offloads are there between calls: take its hooks off first)"
        )
    experts_only = isinstance(routing, RoutingGenerator)
    if isinstance(routing, RoutingGenerator):
        routing = drawn_trace(routing, _steps(batches, new_tokens), seed)
    if isinstance(routing, Trace):
        steps = routing.steps
    else:
        batches, _ = settle(LiveModel.of(model), batches)
        steps = _steps(batches, new_tokens)
    phases = set(steps["phase"])
    regimes = [regime for regime in REGIMES if regime.phase in phases]
    done = 0

    def recorded(name: str) -> None:
        nonlocal done
        done += 1
        progress("probe", done, len(regimes) * WAYS)

    programs = capture_programs(
        model, batches[0], labels, regimes=regimes, progress=recorded, experts_only=experts_only
    )
    if isinstance(routing, Trace):
        return programs.with_routing(routing)
    decided = {Regime.parse(name.rsplit("/", 1)[-1]).phase for name in programs.programs}
    taken = steps[steps["phase"].isin(decided)].reset_index(drop=True)
    return with_shares(programs, taken, routing, seed)


def _steps(batches: Sequence[Batch], new_tokens: int) -> pd.DataFrame:
    """A step a batch, and `new_tokens` steps of one token after each."""
    rows = []
    for batch in batches:
        positions = batch.seq or 1
        rows.append((PREFILL, batch.units, positions, 0))
        rows += [(DECODE, batch.units, 1, positions + token) for token in range(new_tokens)]
    return pd.DataFrame(rows, columns=STEP_COLUMNS)


def capture_programs(
    model: torch.nn.Module,
    batch: Batch,
    labels: Labels,
    *,
    regimes: Sequence[Regime] = REGIMES,
    progress: Callable[[str], None] = lambda _name: None,
    experts_only: bool = False,
) -> Trace:
    """The programs of a model on the meta device, in a trace without decisions.

    batch: the kind of input, on the CPU. regimes: those that programs are recorded of.
    experts_only: nothing says what other sites decide.
    Raises CondsimError where the model does not run at the sizes of probing runs, and with
    `experts_only` where it decides anything but which experts a row takes.
    """
    lists = layer_lists(model)
    try:
        recorded = _record(model, lists, batch, regimes, progress, experts_only)
        programs = {name: repeated(one, lists) for name, one in recorded.programs.items()}
    except (Unlike, ModelFails, CannotRun):  # then all layers are recorded
        if not lists:
            raise
        lists = []
        recorded = _record(model, lists, batch, regimes, progress, experts_only)
        programs = dict(recorded.programs)
    windows = windows_of(model)
    programs = {name: windowed(program, windows) for name, program in programs.items()}
    return _trace(model, recorded, programs, lists, labels)


def _record(
    model: torch.nn.Module,
    lists: Sequence[LayerList],
    batch: Batch,
    regimes: Sequence[Regime],
    progress: Callable[[str], None],
    experts_only: bool,
) -> Recorded:
    with shortened(model, lists):
        live = LiveModel.of(model)
        (batch, *_), sizes = settle(live, [batch])
        if not live.infos and any(regime.decodes for regime in regimes):
            sizes = with_decode_sites(live, batch, sizes)
        if experts_only:
            _require_experts(live)
        if live.infos and live.decides_while_decoding:
            regimes = _while_decoding(live, regimes)
        if lists and any(info.parents for info in live.infos.values()):
            raise Unlike("sites stand behind one another, through all layers")
        prober = Prober(live, batch, sizes)
        programs: dict[str, Program] = {}
        with one_thread():
            for assignment in _assignments(live):
                programs |= prober.programs(assignment, regimes, progress)
                if assignment == live.captured:
                    captured = programs[key(assignment, regimes[-1])]
                    prober.costliest = costliest_branches(captured, live.infos)
        return Recorded(live, sizes.unit_rows, programs)


def _while_decoding(live: LiveModel, regimes: Sequence[Regime]) -> list[Regime]:
    """The regimes of decode steps. Raises CondsimError where there are none."""
    decoding = [regime for regime in regimes if regime.decodes]
    if not decoding:
        name = next(iter(live.infos))
        raise CondsimError(
            f"site {name!r} decides about new tokens only: capture it with new_tokens=1 or more"
        )
    return decoding


def _require_experts(live: LiveModel) -> None:
    for info in live.infos.values():
        mechanism = MECHANISMS[info.mechanism]
        if not mechanism.mixes_experts:
            raise CondsimError(
                f"site {info.name!r} is {mechanism.title}, and a generator draws which experts "
                "rows take: pass routing=SHARE, of the rows that enter, go on or stay, or of the "
                "neurons that a row needs, from 0 to 1, or site -> share"
            )


def _assignments(live: LiveModel) -> list[Mapping[str, str]]:
    """What is recorded: what the model runs, what shows the work of a row, and what the model is
    compared with."""
    captured = live.captured
    if not captured:
        return [captured]
    ways = [captured]
    alone = {name: _alone(name, captured[name]) for name in captured}
    if alone != captured:
        ways.append(alone)
    return [*ways, *(dict.fromkeys(captured, baseline) for baseline in BASELINES)]


def _alone(mechanism: str, captured: str) -> str:
    """The strategy that shows what a row costs; experts and tokens show it under any."""
    kind = MECHANISMS[mechanism]
    return captured if kind.mixes_experts or kind.keeps_tokens else kind.alone


def _trace(
    model: torch.nn.Module,
    recorded: Recorded,
    programs: Mapping[str, Program],
    lists: list[LayerList],
    labels: Labels,
) -> Trace:
    """The half of a trace that says what is executed."""
    infos: dict[str, SiteInfo] = {}
    unit_rows = {}
    for name, recorded_as in repeated_names(recorded.live.infos, lists):
        infos[name] = replace(recorded.live.infos[recorded_as], name=name)
        unit_rows[name] = recorded.unit_rows[recorded_as]
    sites = []
    for name, info in infos.items():
        site = site_of(info, _branch_flops(recorded.live, programs, info), unit_rows[name])
        sites.append(site)
    header = Header(
        name=labels.name,
        sites=tuple(sites),
        captured=recorded.live.captured,
        costliest=_costliest(sites),
        notes=tuple(one_line(note) for note in notes_of(recorded.live)),
        windows=tuple(sorted(set(windows_of(model).values()))),
        has_decisions=False,
        provenance=provenance_of(model, labels),
    )
    steps = pd.DataFrame(columns=STEP_COLUMNS)
    return Trace(header, steps, programs, _nothing)


def _costliest(sites: Sequence[Site]) -> dict[str, int]:
    """The branch of the most FLOPs at each site where a row takes one of several."""
    costliest = {}
    for site in sites:
        if site.routing.one_of_several:
            costliest[site.name] = int(np.argmax(site.branch_flops))
    return costliest


def _branch_flops(live: LiveModel, programs: Mapping[str, Program], info: SiteInfo) -> np.ndarray:
    """Logical FLOPs of a row in each branch, float [branches]."""
    first = next(iter(programs.values()))
    kind = MECHANISMS[info.mechanism]
    if kind.mixes_experts:
        return np.full(info.branches, expert_flops(first, info.name, info.top_k or 1))
    alone = name_of({name: _alone(name, way) for name, way in live.captured.items()})
    several = [one for name, one in programs.items() if name.startswith(f"{alone}/")]
    program = several[-1]  # of several units, where these are recorded
    return branch_flops(program, info.name, info.branches, kind.keeps_tokens)


def _nothing(site: str) -> Iterator[Decisions]:
    yield from ()
