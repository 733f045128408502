"""models: those that are named without a file at hand, and the answer about one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from condsim.cli.output import out, print_json, say, suggest
from condsim.cli.scenario import ScenarioOptions
from condsim.errors import CondsimError, unknown

if TYPE_CHECKING:
    from condsim.catalogue import CatalogueModel
    from condsim.catalogue.parts.question import Question
    from condsim.study.answer import Answer


def models(name: str | None = None, /, *, json: bool = False) -> None:
    """List models that can be named without a file, or what is known of one.

    Parameters
    ----------
    name
        Of a model.
    json
        Print JSON.
    """
    from condsim.catalogue import CATALOGUE

    if name is not None and name not in CATALOGUE:
        raise unknown("model", name, CATALOGUE, "condsim models lists all")
    chosen = CATALOGUE.values() if name is None else [CATALOGUE[name]]
    if json:
        print_json({"command": "models", "models": [asdict(model) for model in chosen]})
        return
    from condsim.show.catalogue import model_lines, models_table

    if name is not None:
        out().print(*model_lines(CATALOGUE[name]), sep="\n")
        return
    out().print(models_table(chosen))
    suggest("condsim simulate qwen3-30b-a3b --device nvidia-h200-sxm --batch 32 --context 4096")


def answer_of(model: CatalogueModel, scenario: ScenarioOptions) -> Answer:
    """The answer about a model of the catalogue, its dense rivals beside it."""
    from condsim.catalogue.parts.answer import answer_about
    from condsim.hardware import hardware

    question = _question(scenario)
    profile = hardware(_one_device(scenario))
    keywords = scenario.keywords()
    for name in ("batch", "phase"):
        keywords.pop(name)
    asked = (scenario.strategy, scenario.baseline)
    return answer_about(model, question, profile, *asked, progress=_recording, **keywords)


def _question(scenario: ScenarioOptions) -> Question:
    from condsim.catalogue.parts.question import Question

    asked: dict[str, Any] = {}
    for name in ("batch", "context", "phase"):
        value = getattr(scenario, name)
        if value is not None:
            asked[name] = value
    parallel = scenario.keywords().get("parallel")
    if parallel is not None:
        asked["ranks"] = parallel.expert
        asked.setdefault("batch", parallel.expert)
    return Question(**asked)


def _one_device(scenario: ScenarioOptions) -> str:
    """The device that was named. Raises CondsimError for none, and for several."""
    if scenario.names_all:
        raise CondsimError("--device and --strategy: name one of each for a model of the catalogue")
    if scenario.device is None:
        raise CondsimError(
            "--device: name the device that the model would run on (condsim profiles lists them)"
        )
    return scenario.device


def _recording(name: str) -> None:
    say(f"recording {name} (kept for the next time)")
