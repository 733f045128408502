"""Early exits, branches and skipped layers that nobody marked, read from what a forward does.

The rule is the structure: a module with a gate beside what the gate guards, or with a list of
heads. Its forward is taped while rows are sent everywhere (`condsim.live.lift.tape`), read
(`condsim.live.lift.reader`) and lifted (`condsim.live.lift.lifted`). A lifted forward stands in for
the module's own only where it gives the same bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn
from torch.utils._pytree import tree_map

from condsim.errors import CondsimError, summary
from condsim.live.adapters.base import ADAPTERS, LiveSite, left_out, unstacked
from condsim.live.adapters.by_value_lifts import OF_EXPERTS, OF_OTHERS
from condsim.live.adapters.host_call import Constants, HostCall, copied
from condsim.live.adapters.structure import could_decide, expert_list
from condsim.live.adapters.taped_host import TapedHost
from condsim.live.adapters.verify import check_same_result, check_same_work, offer_strategies
from condsim.live.adapters.ways_of_call import lift_by_ways
from condsim.live.execution import Execution, current, executing
from condsim.live.experts import Experts
from condsim.live.lift.by_value import find_mixture
from condsim.live.lift.lifted import Lifted, LiftedForward
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.mixture import LiftedMixture
from condsim.live.lift.tape import Tape
from condsim.live.lift.ways import OneWay
from condsim.mechanisms import MECHANISMS
from condsim.record.recorder import Recorder

DECIDES_IN_PYTHON = "it decides in Python, by an `if` on a tensor's value"


@ADAPTERS.register("own_forward")
def find(model: nn.Module) -> list[LiveSite]:
    """Modules that could decide: see `could_decide`."""
    sites: list[LiveSite] = []
    for name, module in model.named_modules():
        if could_decide(module) and expert_list(module) is None:
            sites.append(OwnForward(name, module))
    return sites


def _paused(recorder: Recorder | None) -> contextlib.AbstractContextManager[None]:
    """While it lasts, nothing is recorded."""
    return contextlib.nullcontext() if recorder is None else recorder.paused()


def _explained(lifted: LiftedForward) -> tuple[int, int]:
    """How much of a forward was read: its sites, and the calls that have a place among them."""
    return len(lifted.sites), lifted.calls


class OwnForward(LiveSite):
    """A module whose forward may decide something.

    The forward is read when it is first called. What cannot be read runs as it is written.
    lifted: what stands in for the forward, None where it cannot be read (`reason` says why).
    taped: the tapes of the forward, and what they tell of it.
    running: the sites whose forwards are running, of all models, the innermost last.
    """

    running: ClassVar[list[OwnForward]] = []

    def __init__(self, name: str, block: nn.Module, experts: Sequence[nn.Module] = ()) -> None:
        """experts: of a mixture that is the only decision to be looked for; none for any."""
        super().__init__(name, block)
        self.experts_called = experts
        self.lifted: LiftedForward | None = None
        self.taped = TapedHost(block)
        self._reading = False
        self._constants: Constants | None = None

    @property
    def sites(self) -> tuple[str, ...]:
        if self.lifted is None:
            return ()
        return tuple(site.name for site in self.lifted.sites.values())

    @property
    def notes(self) -> list[str]:
        if self.lifted is None:
            return []
        sites = ", ".join(self.sites)
        notes = [f"{sites}: {self._how_it_was_read(self.lifted)}"]
        for strategy, reason in self.lifted.left_out.items():
            notes.append(left_out(sites, strategy, reason))
        for site in self.lifted.sites.values():
            if MECHANISMS[site.mechanism].mixes_experts and not site.stacks:
                notes.append(unstacked(site.name))
        return notes

    @property
    def decides_for_batch(self) -> bool:  # type: ignore[override]
        """Whether it asks one question of a whole batch."""
        return self.lifted is not None and self.lifted.asks_batch

    def _how_it_was_read(self, lifted: LiftedForward) -> str:
        return lifted.how_read.format(host=self.name or "the model")

    def offers(self) -> dict[str, tuple[str, ...]]:
        return {} if self.lifted is None else self.lifted.offers

    def experts(self) -> list[Experts]:
        """The experts of the mixtures in the forward, where they can be told apart."""
        if self.lifted is None:
            return []
        sites = self.lifted.sites.values()
        return [site.experts for site in sites if site.experts is not None]

    def prepare(self, execution: Execution) -> None:
        for experts in self.experts():
            experts.top_k = self.top_k
            experts.prepare(execution)

    def named_tensors(self) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = {}
        for experts in self.experts():
            tensors |= experts.named()
        return tensors

    def forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.running.append(self)
        try:
            if self.reads(own_forward, args, kwargs):
                return self.run(own_forward, *args, **kwargs)
            return own_forward(*args, **kwargs)
        finally:
            self.running.pop()

    def reads(
        self, own_forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bool:
        """Whether the forward can be lifted. The first call finds out, with its arguments."""
        if self._reading:  # the forward calls itself
            return False
        if self.lifted is None and self.reason is None:
            call = HostCall(own_forward, args, kwargs)
            self._reading = True
            try:
                with current().quiet(), executing(Execution()):
                    self._read(call)
            finally:
                self._reading = False
            self._constants = Constants.of(args, kwargs)
        return self.lifted is not None

    def run(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of the lifted forward.

        Where the model is observed as it runs by itself, the own forward runs beside it. Raises
        CondsimError where that gives something else, and for a call with other constants than those
        of the call that was read.
        """
        assert self.lifted is not None
        assert self._constants is not None
        constants = Constants.of(args, kwargs)
        if constants != self._constants:
            raise CondsimError(
                f"{self.name or 'the model'} was read when it was called with "
                f"{self._constants.values} and is called with {constants.values}; "
                f"{self._how_to_mark()}"
            )
        natural = current().natural
        for site in self.lifted.sites.values():
            natural[site.name] = site.captured
        if self._runs_as_written(self.lifted):
            return self._as_written(own_forward, *args, **kwargs)
        if not current().observes_itself:
            return self.lifted(*args, **kwargs)
        own_args, own_kwargs = tree_map(copied, (args, kwargs))
        run_own = partial(own_forward, *own_args, **own_kwargs)
        result = self._lifted_result(run_own, args, kwargs)
        with executing(Execution()):
            own = run_own()
        if not self.lifted.agrees(own, result):
            raise self._another_result()
        return result

    def _lifted_result(
        self, run_own: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The result of the lifted forward beside the own one.

        Raises what the own forward raises, and CondsimError where only the lifted one fails.
        """
        assert self.lifted is not None
        try:
            return self.lifted(*args, **kwargs)
        except CondsimError:
            raise
        except Exception as error:
            with executing(Execution()):
                run_own()
            raise self._another_result() from error

    def _another_result(self) -> CondsimError:
        """The error where a later batch shows that a forward was not understood."""
        return CondsimError(
            f"site {self.sites[0]!r}: the forward of {type(self.block).__name__} was read on a "
            "first batch, and on a later one it gives another result than what was read: its "
            "code follows more than which rows go where (a limit on their number, a comparison "
            f"in Python, a state that it keeps); {self._how_to_mark()}"
        )

    def _runs_as_written(self, lifted: LiftedForward) -> bool:
        """Whether the own forward runs: its calls do not follow what is decided.

        It follows no forced decisions, which matters only where nobody records.
        """
        if not lifted.written:
            return False
        execution = current()
        if execution.forces and execution.recorder is None:
            return False
        for site in lifted.sites.values():
            if execution.strategy(site.name, site.mechanism) != site.captured:
                return False
        return True

    def _as_written(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of the own forward; what it decides is told to who wants to know.

        Raises CondsimError where what was read of it gives something else.
        """
        assert self.lifted is not None
        execution = current()
        known = all(name in execution.sites for name in self.sites)
        told: Any = None
        if execution.observed is not None or not known:
            recorder, execution.recorder = execution.recorder, None
            own_args, own_kwargs = tree_map(copied, (args, kwargs))
            try:
                with _paused(recorder):
                    run_own = partial(own_forward, *args, **kwargs)
                    told = self._lifted_result(run_own, own_args, own_kwargs)
            finally:
                execution.recorder = recorder
        own = own_forward(*args, **kwargs)
        if execution.observes_itself and not self.lifted.agrees(own, told):
            raise self._another_result()
        return own

    def _how_to_mark(self) -> str:
        """How the first of the sites that were read can be marked."""
        assert self.lifted is not None
        site = next(iter(self.lifted.sites.values()))
        return MECHANISMS[site.mechanism].how_to_mark

    def _read(self, call: HostCall) -> None:
        """Tape, read and lift the forward, and compare the result with the forward's own.

        Sets `lifted` or `reason`. The forward is taped twice, because what is forced in a tape
        hides one or the other side of a decision; the reading with the most sites is kept.
        """
        if not call.is_plain():
            self.reason = "it is called with something that is no tensor"
            return
        readings = self._readings(call)
        if self.experts_called and not readings and self.taped.open_routers():
            readings = self._readings(call)
        if not readings and not self.experts_called:
            readings = self._read_ways(call)
        for lift in OF_EXPERTS if self.experts_called else OF_OTHERS:
            if not readings:
                by_value = self._or_reason_of_before(partial(lift, self, call))
                readings = [] if by_value is None else [by_value]
        if readings:
            self._keep(max(readings, key=_explained))
        assert self.lifted is not None or self.reason is not None

    def _readings(self, call: HostCall) -> list[LiftedForward]:
        """The forward read call by call, once or twice; else its mixture, found by value."""
        readings = []
        for lone in (False, True):
            reading = self._tried(partial(self._lift, call, lone))
            if reading is not None and self._is_looked_for(reading):
                readings.append(reading)
        for by_ids in (False, True):
            if self.experts_called and not readings:
                found = self._tried(partial(self._find_mixture, call, by_ids))
                readings = [] if found is None else [found]
        return readings

    def _read_ways(self, call: HostCall) -> list[LiftedForward]:
        """The forward lifted by the ways that its `if`s take, alone in a list; else none.

        `reason` stays as it was where nothing is asked in Python.
        """
        before = self.reason
        try:
            found = self._tried(partial(self._lift_ways, call))
        except OneWay:
            self.reason, self.decides_in_python = before, False
            return []
        if found is None:
            self.guards, self.decides_in_python = True, True
            self.reason = f"{DECIDES_IN_PYTHON}: {self.reason}"
            return []
        return [found]

    def _lift_ways(self, call: HostCall) -> LiftedForward:
        """The forward by its ways. Raises NotLiftable where they cannot be told apart."""
        lifted = lift_by_ways(self.block, self.name, call, self.taped.rows)
        return self.verified(lifted, call)

    def _tried(self, lift: Callable[[], LiftedForward]) -> LiftedForward | None:
        """A way to lift the forward; None where it fails, and then `reason` says why."""
        try:
            return lift()
        except OneWay:
            raise
        except NotLiftable as error:
            self.reason = str(error)
        except CondsimError:
            raise
        except Exception as error:
            # A stranger's forward may do anything with batches that it does not expect.
            self.reason = f"it fails when rows are sent everywhere ({summary(error)})"
        return None

    def _is_looked_for(self, lifted: LiftedForward) -> bool:
        """Whether all that a forward decides is a mixture, where one is looked for."""
        kinds = [MECHANISMS[mechanism] for mechanism in lifted.offers]
        if not self.experts_called or all(kind.mixes_experts for kind in kinds):
            return True
        self.reason = "its decision is not a mixture of its experts"
        return False

    def _lift(self, call: HostCall, lone: bool) -> LiftedForward:
        """The lifted forward. lone: of `Tape`. Raises NotLiftable where it cannot be read."""
        tape, other = self._both_tapes(call, lone)
        rows = self.taped.rows[0]
        return self.verified(Lifted.of_tape(self.block, self.name, rows, tape, other), call)

    def _find_mixture(self, call: HostCall, by_ids: bool) -> LiftedForward:
        """The forward around its experts, found by value. by_ids: of `Tape`.

        Raises NotLiftable where it is not.
        """
        tapes = self._both_tapes(call, lone=False, by_ids=by_ids)
        name = self.name or "experts"
        found = find_mixture(tapes[0], self.experts_called)
        return self.verified(LiftedMixture(name, tapes, self.experts_called, found), call)

    def _or_reason_of_before(self, lift: Callable[[], LiftedForward]) -> LiftedForward | None:
        """Another way to lift the forward; where it fails, the reason stays what it was."""
        before = self.reason
        found = self._tried(lift)
        self.reason = before if found is None else self.reason
        return found

    def verified(self, lifted: LiftedForward, call: HostCall) -> LiftedForward:
        """A lifted forward with its strategies. Raises NotLiftable for one of another result."""
        check_same_result(lifted, call.forward, call.args, call.kwargs)
        if not lifted.exact and not lifted.written:
            check_same_work(lifted, call.forward, call.args, call.kwargs)
        offer_strategies(lifted)
        return lifted

    def _both_tapes(self, call: HostCall, lone: bool, by_ids: bool = False) -> tuple[Tape, Tape]:
        """Tapes at two sizes, in which rows are sent every way. lone, by_ids: of `Tape`."""
        try:
            return self.taped.forced(call, lone, by_ids)
        finally:
            self.decides_in_python = self.taped.asks_in_python
            self.guards = self.guards or self.taped.decides

    def _keep(self, lifted: LiftedForward) -> None:
        self.lifted, self.reason = lifted, None
        slots = [site.decision.slots for site in lifted.sites.values()]
        self.top_k = max(slots, default=0) or 1
        for experts in self.experts():
            experts.top_k = self.top_k
