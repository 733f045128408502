"""A model of the catalogue and a question → a trace: its programs, and routing that is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from condsim import checks
from condsim.catalogue.forms import FORMS
from condsim.catalogue.parts.base import CatalogueModel
from condsim.catalogue.parts.programs import all_programs_of
from condsim.errors import CondsimError
from condsim.program.regime import DECODE, PREFILL, Regime
from condsim.trace import Trace


@dataclass(frozen=True)
class Question:
    """What is asked of a model.

    batch: sequences. context: positions that attention sees in a decode step, or positions of a
    prompt. seed: of the routing that is drawn. ranks: devices that the model is spread over.
    Raises CondsimError for what no model could be asked.
    """

    batch: int = 1
    context: int = 4096
    phase: str = DECODE
    seed: int = 0
    ranks: int = 1

    def __post_init__(self) -> None:
        checks.whole("batch", self.batch)
        checks.whole("context", self.context, least=2 if self.phase == DECODE else 1)
        if self.phase not in (PREFILL, DECODE):
            raise CondsimError(f"phase must be {PREFILL} or {DECODE}, got {self.phase!r}")

    @property
    def regime(self) -> Regime:
        return Regime.of_batch(self.phase, self.batch)

    @property
    def regimes(self) -> tuple[Regime, ...]:
        """All that the answer needs: ranks run the operators of larger batches, whatever theirs."""
        if self.ranks == 1:
            return (self.regime,)
        return tuple(dict.fromkeys((self.regime, Regime(self.phase, False))))

    def of(self, model: CatalogueModel) -> Question:
        """The question as it can be asked of a model: images are seen once, as a whole.

        Raises CondsimError where it cannot.
        """
        FORMS[model.form].check(model, self)
        return replace(self, phase=PREFILL, context=1) if model.images else self

    @property
    def of_a_copy(self) -> Question:
        """The question of each device, where each has a copy of a whole model instead."""
        return replace(self, batch=-(-self.batch // self.ranks), ranks=1)


def trace_of(
    model: CatalogueModel,
    question: Question,
    progress: Callable[[str], None] = lambda _name: None,
) -> Trace:
    """Return what a model executes, on routing that is drawn for the question.

    Raises CondsimError for a dense model, which decides nothing.
    """
    model.require_conditional()
    question = question.of(model)
    programs = all_programs_of(model, question.regimes, progress)
    return FORMS[model.form].decided(model, programs, question)
