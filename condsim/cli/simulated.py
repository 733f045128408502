"""What `condsim simulate` is asked about: a trace, or a model of the catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from condsim.cli.arguments import all_devices, catalogue_model, open_trace, profile_for
from condsim.cli.models import one_device, question_of, recording
from condsim.cli.scenario import ALL, ScenarioOptions

if TYPE_CHECKING:
    from condsim.catalogue import CatalogueModel
    from condsim.catalogue.parts.loads import Load
    from condsim.hardware import HardwareProfile
    from condsim.parallel import Parallel
    from condsim.study.answer import Answer
    from condsim.trace import Trace


@dataclass(frozen=True)
class Simulated(ABC):
    """One question. where: what the user called the trace or the model."""

    where: str
    scenario: ScenarioOptions

    @property
    @abstractmethod
    def trace(self) -> Trace:
        """What runs."""

    @property
    @abstractmethod
    def devices(self) -> list[HardwareProfile]:
        """Those that are asked about."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Arguments of `condsim.simulate` besides trace, profile, strategy and baseline."""

    @abstractmethod
    def answer(self, strategy: str | None) -> Answer:
        """Answer the question with one strategy on the one device."""

    def loads(self, _strategy: str) -> Iterator[Load]:
        """Yield what other batches come to, where several devices share a model by name."""
        return iter(())


class SimulatedTrace(Simulated):
    """A question about a trace. Raises CondsimError for what it cannot be asked."""

    def __post_init__(self) -> None:
        self.scenario.check_with(self.trace)

    @cached_property
    def trace(self) -> Trace:
        return open_trace(self.where)

    @property
    def name(self) -> str:
        """Of what runs."""
        return self.trace.name

    @cached_property
    def devices(self) -> list[HardwareProfile]:
        if self.scenario.device == ALL:
            return all_devices(self.trace)
        return [profile_for(self.scenario.device, self.trace)]

    def options(self) -> dict[str, Any]:
        return self.scenario.keywords()

    def answer(self, strategy: str | None) -> Answer:
        from condsim.study.answer import answer

        (device,) = self.devices
        return answer(self.trace, device, strategy, self.scenario.baseline, **self.options())


@dataclass(frozen=True)
class SimulatedModel(Simulated):
    """A question about a model of the catalogue. Raises CondsimError where no device is named."""

    model: CatalogueModel

    def __post_init__(self) -> None:
        one_device(self.scenario)

    @property
    def name(self) -> str:
        """Of what runs."""
        return self.model.name

    @cached_property
    def trace(self) -> Trace:
        from condsim.catalogue.parts.question import trace_of

        return trace_of(self.model, question_of(self.scenario), recording)

    @cached_property
    def devices(self) -> list[HardwareProfile]:
        from condsim.hardware import hardware

        return [hardware(one_device(self.scenario))]

    def options(self) -> dict[str, Any]:
        from condsim.catalogue.parts.answer import options_of

        question = question_of(self.scenario)
        return options_of(question, self.devices[0], self._keywords())

    def _keywords(self) -> dict[str, Any]:
        keywords = self.scenario.keywords()
        for name in ("batch", "phase"):
            keywords.pop(name)
        return keywords

    def answer(self, strategy: str | None) -> Answer:
        from condsim.catalogue.parts.answer import answer_about

        question, asked = question_of(self.scenario), (strategy, self.scenario.baseline)
        return answer_about(
            self.model, question, self.devices[0], *asked, progress=recording, **self._keywords()
        )

    def loads(self, strategy: str) -> Iterator[Load]:
        from condsim.catalogue.parts.loads import loads_of

        question, asked = question_of(self.scenario), (strategy, self.scenario.baseline)
        if question.ranks == 1:
            return iter(())
        return loads_of(
            self.model, question, self.devices[0], *asked, progress=recording, **self._keywords()
        )


def simulated(where: str, scenario: ScenarioOptions) -> SimulatedTrace | SimulatedModel:
    """Open what is asked about. Raises CondsimError for what cannot be opened or asked."""
    model = catalogue_model(where)
    if model is None:
        return SimulatedTrace(where, scenario)
    return SimulatedModel(where, scenario, shared_model(model, scenario.keywords().get("parallel")))


def shared_model(model: CatalogueModel, parallel: Parallel | None) -> CatalogueModel:
    """What one device has of a model, where several share every layer."""
    from condsim.catalogue.parts.tensor import share_of

    return model if parallel is None else share_of(model, parallel.tensor)
