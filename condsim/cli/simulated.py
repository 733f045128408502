"""What `condsim simulate` is asked about: a trace, or a model of the catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from condsim.cli.arguments import all_devices, catalogue_model, open_trace, profile_for
from condsim.cli.models import named_device, question_of, recording
from condsim.cli.scenario import ALL, ScenarioOptions
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from rich.console import RenderableType

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

    @property
    def strategies(self) -> list[str | None] | None:
        """Those that are asked about; None for all that a device has."""
        return None if self.scenario.strategy == ALL else [self.scenario.strategy]

    @abstractmethod
    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row a device and strategy, or the reason why there is no prediction."""

    @abstractmethod
    def table(self, rows: list[dict[str, Any]]) -> RenderableType:
        """Sort the rows, the best first, and return them as they are printed."""

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

    def rows(self) -> Iterator[dict[str, Any]]:
        from condsim.study.ranking import predict_all

        how = (self.strategies, self.scenario.baseline)
        return predict_all(self.trace, self.devices, *how, **self.scenario.keywords())

    def table(self, rows: list[dict[str, Any]]) -> RenderableType:
        from condsim.show.predictions import predictions_table

        rows.sort(key=lambda row: -row.get("speedup", 0.0))
        return predictions_table(self.name, rows)

    def answer(self, strategy: str | None) -> Answer:
        from condsim.study.answer import answer

        (device,) = self.devices
        how = (strategy, self.scenario.baseline)
        return answer(self.trace, device, *how, **self.scenario.keywords())


@dataclass(frozen=True)
class SimulatedModel(Simulated):
    """A question about a model of the catalogue. Raises CondsimError where no device is named."""

    model: CatalogueModel

    def __post_init__(self) -> None:
        self.model.require_conditional()
        named_device(self.scenario)
        _check_units(self.model, self.scenario)

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
        from condsim.hardware import hardware, profiles, readable

        named = named_device(self.scenario)
        return list(readable(profiles().values())) if named == ALL else [hardware(named)]

    def rows(self) -> Iterator[dict[str, Any]]:
        from condsim.catalogue.parts.devices import rows_on

        question, how = question_of(self.scenario), (self.strategies, self.scenario.baseline)
        return rows_on(
            self.model, question, self.devices, *how, progress=recording, **self._keywords()
        )

    def table(self, rows: list[dict[str, Any]]) -> RenderableType:
        from condsim.catalogue.parts.devices import fit_first
        from condsim.show.model_devices import model_devices

        rows.sort(key=fit_first)
        question = question_of(self.scenario)
        asked = f"{question.phase}, batch {question.batch}, {question.context} positions"
        if self.model.images:
            asked = f"{question.batch} images"
        return model_devices(f"{self.name}, {asked}, predicted", rows)

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


def _check_units(model: CatalogueModel, scenario: ScenarioOptions) -> None:
    """Raises CondsimError where images are asked for what only sequences have."""
    if not model.images:
        return
    asked = {"--context": scenario.context, "--phase": scenario.phase}
    for option, value in asked.items():
        if value is not None:
            raise CondsimError(
                f"{option} {value}: {model.name} sees images, each once and as a whole; leave it "
                "out"
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
