"""A few small runs a regime → programs: the static half of capturing.

Every strategy that can run is run, recorded, and fitted. Decisions are forced, so that each guard
sees no rows, one and several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from condsim.capture.fit import Fitter, Run
from condsim.capture.fit_operator import Misfit
from condsim.capture.other_sizes import unread_at
from condsim.capture.sizes import USUAL_LENGTHS, Lengths, Sizes
from condsim.errors import CondsimError
from condsim.live.decode import has_encoder, record_decode
from condsim.live.execution import BASELINES, Execution, SiteInfo
from condsim.live.failures import ModelFails
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.live.train_step import record_step
from condsim.mechanisms import MECHANISMS, Draw
from condsim.program import Program
from condsim.program.logical import branch_flops
from condsim.program.regime import DECODE, Regime
from condsim.record.events import ExpertsCall
from condsim.record.loops import Periods
from condsim.record.nest import tree
from condsim.record.recorder import Recorder
from condsim.record.step_events import Learned
from condsim.strategies import name_of
from condsim.trace.header import UnitRows

SINGLE_SEQUENCES = ((1, 6), (1, 9), (1, 13), (1, 22), (1, 11), (1, 8), (1, 15))
SEVERAL_SEQUENCES = ((2, 5), (3, 7), (2, 11), (5, 6), (4, 13), (6, 9), (3, 8))
"""Sizes of the probing runs of a model with sequences: (sequences, positions of each)."""

SINGLE_UNITS = (1,) * 24
SEVERAL_UNITS = (2, 3, 5, 7, 4, 11, 6, 9, 13, 8, 10, 5, 12, 3, 7, 17, 14, 2, 15, 6)
"""Sizes of the probing runs of a model without sequences: units."""

SCHEDULED_UNITS = (2, 3, 5)
"""Units of the runs of a model whose decisions change no size: they tell sizes that follow the
units from those that do not."""

MORE_UNITS = 3
"""How many times as many units run where each step has one row a unit, and exits stand behind
exits, so that several rows reach the last one."""

MOST_TURNS = 3
"""How often all these sizes are run, with other decisions, where a body was seen too seldom."""

TARGETS = 5
"""Numbers of tokens that are decoded before a probed step, behind an encoder, from 0 on."""

SHARES = (0.5, 1.0, 0.0, 0.75, 0.25, 0.0, 0.9, 0.6, 0.0, 0.4)
"""About how many rows leave branch 0 (or which part of the blocks is wanted), run after run."""

Assignment = Mapping[str, str]
"""Mechanism → the strategy that it runs under."""


def key(assignment: Assignment, regime: Regime | str) -> str:
    """The name of a program in a trace."""
    return f"{name_of(assignment)}/{regime}"


class CannotRun(CondsimError):
    """A model that fails at a size of the probing runs."""


def probing_sizes(regime: Regime, lengths: Lengths | None) -> list[tuple[int, int | None]]:
    """(units, positions) of every probing run. lengths: None where units have no positions."""
    if lengths is None:
        return [(units, None) for units in (SINGLE_UNITS if regime.single else SEVERAL_UNITS)]
    usual = SINGLE_SEQUENCES if regime.single else SEVERAL_SEQUENCES
    if lengths == USUAL_LENGTHS:
        return list(usual)
    ranked = sorted({positions for _, positions in usual})
    spread = np.linspace(lengths.shortest, lengths.longest, len(ranked)).round()
    in_range = dict(zip(ranked, spread.astype(int).tolist(), strict=True))
    return [(units, in_range[positions]) for units, positions in usual]


def rows_per_site(
    infos: Mapping[str, SiteInfo], unit_rows: Mapping[str, UnitRows], units: int, seq: int | None
) -> dict[str, int]:
    """Rows that each site sees at a size where nothing was dropped before it.

    unit_rows: site → rows that a unit has there.
    """
    rows = {}
    for name in infos:
        rows[name] = units * unit_rows[name].of(seq or 1)
    return rows


def execution_for(
    assignment: Assignment,
    infos: Mapping[str, SiteInfo],
    rows: Mapping[str, int],
    run: int,
    costliest: Mapping[str, int],
    units: int = 1,
) -> Execution:
    """An execution with random decisions.

    rows: site → rows that reach it where nothing was dropped before it. run: a number that varies
    the decisions. costliest: site → the branch that every row takes under same-params. units: that
    the rows are of.
    """
    rng = np.random.default_rng(run)
    forced, weights, kept, owed = {}, {}, {}, {}
    for number, (name, info) in enumerate(infos.items()):
        mechanism = MECHANISMS[info.mechanism]
        draw = Draw(rows[name], info.branches, info.top_k, units)
        share = SHARES[(run + 3 * number) % len(SHARES)]
        ids, ids_weights = mechanism.probe_decisions(draw, share, run + number, rng)
        forced[name] = ids
        if ids_weights is not None:
            weights[name] = ids_weights
        kept[name] = mechanism.probe_kept(draw, share, ids)
        tokens = mechanism.probe_owed(run + number)
        if tokens is not None:
            owed[name] = tokens
    return Execution(
        dict(assignment),
        forced,
        weights,
        rows_kept=kept,
        costliest=costliest,
        room=2 + run % 5,
        owed=owed,
    )


def costliest_branches(program: Program, infos: Mapping[str, SiteInfo]) -> dict[str, int]:
    """The branch of the most FLOPs at each site where a row takes one of several."""
    costliest = {}
    for name, info in infos.items():
        if MECHANISMS[info.mechanism].one_of_several:
            costliest[name] = int(np.argmax(branch_flops(program, name, info.branches)))
    return costliest


def probe(
    live: LiveModel,
    batch: Batch,
    sizes: Sizes,
    *,
    decode: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Program]:
    """Programs of every assignment and regime, by name.

    batch: the kind of input; it is cut and repeated to other sizes. sizes: what was learnt of it.
    decode: also one token after a prefix, with the model's own cache.
    Raises Misfit where the same regime has different operators at different sizes, and CannotRun
    where the model fails at one of them.
    """
    asked = (live.phase, DECODE) if decode else (live.phase,)
    phases = dict.fromkeys(asked)
    regimes = [Regime(phase, single) for phase in phases for single in (True, False)]
    prober = Prober(live, batch, sizes, decode)
    programs: dict[str, Program] = {}
    for assignment in _baselines_last(live.assignments()):
        try:
            programs |= prober.programs(assignment, regimes, progress)
        except CondsimError as problem:
            if is_needed(assignment, live.captured):
                raise
            live.left_out[name_of(assignment)] = str(problem)
            continue
        if assignment == live.captured:
            captured = programs[key(assignment, Regime(live.phase, single=False))]
            prober.costliest = costliest_branches(captured, live.infos)
    return programs


def is_needed(assignment: Assignment, captured: Assignment) -> bool:
    """Whether nothing can be said of a model without these programs.

    They are what the model itself runs, what shows the work of a row, and what it is compared with.
    """
    ways = set(assignment.values())
    alone = {mechanism: MECHANISMS[mechanism].alone for mechanism in assignment}
    return assignment in (captured, alone) or ways <= set(BASELINES)


def _baselines_last(assignments: list[dict[str, str]]) -> list[dict[str, str]]:
    """Baselines need to know the costliest branches, which the captured strategy tells."""
    return sorted(assignments, key=lambda assignment: set(assignment.values()) <= set(BASELINES))


@dataclass(frozen=True)
class _Recording:
    """One probing run. sizes: batch, and seq and total where units have positions."""

    sizes: dict[str, int]
    recorder: Recorder

    def fewest_hits(self) -> int:
        """Experts with rows, at the site where they are fewest; 0 for a run without experts."""
        hits = [hit_experts(call) for call in self.recorder.calls.values()]
        return min(hits, default=0)


def hit_experts(call: ExpertsCall) -> int:
    """Experts that have rows."""
    return sum(tokens > 0 for tokens in call.tokens_per_expert)


@dataclass
class Prober:
    """Runs one model at many sizes.

    batch: the kind of input. decodes: whether tokens are decoded. costliest: site → branch, once
    it is known.
    """

    live: LiveModel
    batch: Batch
    sizes: Sizes
    decodes: bool = False
    costliest: dict[str, int] = field(default_factory=dict)

    def programs(
        self, assignment: Assignment, regimes: Sequence[Regime], progress: Callable[[str], None]
    ) -> dict[str, Program]:
        """The programs of one assignment, a regime each, by name.

        A loop over experts of which one has rows does not show where an iteration ends, as in a
        single row's step. So what fits no program at one unit is tried again once several units
        have shown it. Raises Misfit, the first one.
        """
        periods: Periods = {}
        programs: dict[str, Program] = {}
        postponed: dict[Regime, Misfit] = {}
        for regime in regimes:
            name = key(assignment, regime)
            progress(name)
            try:
                programs[name] = self.program(assignment, regime, periods)
            except Misfit as misfit:
                if not regime.single:
                    raise next(iter(postponed.values()), misfit) from None
                postponed[regime] = misfit
        for regime in postponed:
            programs[key(assignment, regime)] = self.program(assignment, regime, periods)
        return programs

    def program(self, assignment: Assignment, regime: Regime, periods: Periods) -> Program:
        """Record and fit one program. periods: of the assignment's loops; completed on the way."""
        usual = probing_sizes(regime, self.sizes.of(regime))
        if self.scheduled:
            usual = [(1 if regime.single else units, None) for units in SCHEDULED_UNITS]
        fewest_turns = 1
        if self.live.decides_while_decoding:
            fewest_turns = MOST_TURNS
            more = 1 if regime.single else MORE_UNITS
            usual = [(more * units, seq) for units, seq in usual]
        recordings: list[_Recording] = []
        for turn in range(MOST_TURNS):
            for number, (units, seq) in enumerate(usual):
                run = turn * len(usual) + number
                recordings.append(self._recorded(assignment, regime, units, seq, run))
            if turn + 1 < fewest_turns:
                continue
            program, is_sure = self._fitted(assignment, regime, recordings, periods)
            if is_sure:
                break
        return replace(program, periods=dict(periods))

    @cached_property
    def scheduled(self) -> bool:
        """Whether a model without weights keeps as many tokens in every unit at all its sites, of
        units that are all of one size: then which of them stay changes no size."""
        infos = self.live.infos.values()
        all_fixed = bool(infos) and all(info.kept is not None for info in infos)
        return all_fixed and self.live.on_meta and self.sizes.lengths is None

    def _execution(
        self, assignment: Assignment, rows: Mapping[str, int], run: int, units: int
    ) -> Execution:
        """What is in force in a probing run. rows: as of `execution_for`."""
        infos = self.live.infos
        if not self.scheduled:
            return execution_for(assignment, infos, rows, run, self.costliest, units)
        kept = {name: np.array([0, info.kept]) for name, info in infos.items()}
        return Execution(dict(assignment), rows_kept=kept)

    def _fitted(
        self,
        assignment: Assignment,
        regime: Regime,
        recordings: Sequence[_Recording],
        periods: Periods,
    ) -> tuple[Program, bool]:
        """The program of some recordings, and whether they show what all its sizes follow."""
        learned = Learned(periods)
        _find_loops(recordings, learned)
        runs = []
        for recording in recordings:
            scope = tree(recording.recorder, periods, learned)
            runs.append(Run(recording.sizes, scope, recording.recorder.calls))
        fitter = Fitter()
        try:
            program = fitter.program(name_of(assignment), str(regime), runs)
        except Misfit as misfit:
            raise Misfit(self._refusal(misfit, key(assignment, regime))) from misfit
        return program, not fitter.thin

    def _recorded(
        self, assignment: Assignment, regime: Regime, units: int, seq: int | None, run: int
    ) -> _Recording:
        """One probing run. Raises CannotRun where the model fails."""
        try:
            return self._record(assignment, regime, units, seq, run)
        except ModelFails as failure:
            size = f"{units} units" if seq is None else f"{units} units of {seq} positions"
            program = key(assignment, regime)
            unread = unread_at(self.live, self.batch.resized(units, seq), failure)
            if unread and not regime.decodes:
                raise CannotRun(f"{program}: at {size} {unread}") from failure
            raise CannotRun(
                f"{program}: the model fails at {size}, "
                f"while inputs of the captured size run ({failure})"
            ) from failure

    def _record(
        self, assignment: Assignment, regime: Regime, units: int, seq: int | None, run: int
    ) -> _Recording:
        positions = 1 if regime.decodes else seq
        rows = rows_per_site(self.live.infos, self.sizes.unit_rows, units, positions)
        execution = self._execution(assignment, rows, run, units)
        batch = self.batch.resized(units, seq)
        sizes = _bound_sizes(regime, units, seq)
        if regime.decodes:
            before = 0
            if has_encoder(self.live.model):
                before = (2 * run) % TARGETS
                sizes |= _bound_to_encoder(sizes, before)
            recorder = record_decode(self.live, batch, execution, before)
        elif regime.trains:
            recorder = record_step(self.live, batch, execution)
        else:
            recorder = self.live.record(batch, execution)
        return _Recording(sizes, recorder)

    def _refusal(self, misfit: Misfit, program: str) -> str:
        """Where no program fits, and what a user can do about it. program: its name."""
        for site in self.live.sites:
            if site.hint and site.name == misfit.site:
                return f"{site.hint} ({program}: {misfit})"
        where = f"module {misfit.module!r}" if misfit.module else "the model"
        if self.decodes:
            return (
                f"new_tokens: {where} runs other operators at some lengths than at others, as a "
                "loop over positions does, or an attention window (sliding_window) that only some "
                "prefixes fill: capture without new_tokens, or batches whose prefixes all fill the "
                f"window ({program}: {misfit})"
            )
        return (
            f"{where} runs other operators at another size or for other decisions, as a loop over "
            "positions or a choice in Python does, which no program holds: write it as one call "
            "for all positions, mark what it decides with condsim.route and condsim.branch, or "
            f"capture the part of the model without it ({program}: {misfit})"
        )


def _bound_sizes(regime: Regime, units: int, seq: int | None) -> dict[str, int]:
    """The variables of a program at one size. total: positions with those in the cache."""
    if seq is None:
        return {"batch": units}
    if regime.decodes:
        return {"batch": units, "seq": 1, "total": seq + 1}
    return {"batch": units, "seq": seq, "total": seq}


def _bound_to_encoder(sizes: Mapping[str, int], before: int) -> dict[str, int]:
    """The variables of a decode step behind an encoder. before: decode steps before it."""
    source = sizes["total"] - 1
    return {"total": sizes["total"] + before, "source": source, "target": before + 1}


def _find_loops(recordings: Sequence[_Recording], learned: Learned) -> None:
    """Tell the iterations of unmarked loops apart, first in the run that hits the most experts.

    Runs that hit fewer cannot show where an iteration ends, and use what that one showed. But they
    may show that iterations without rows are shorter.
    """
    for recording in sorted(recordings, key=lambda r: -r.fewest_hits()):
        learned.learn(recording.recorder)
