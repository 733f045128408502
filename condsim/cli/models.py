"""models, and what simulate says of one: models that are named without a file at hand."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from condsim.cli.output import command, out, print_json, say, suggest
from condsim.cli.scenario import ScenarioOptions
from condsim.errors import CondsimError, unknown

if TYPE_CHECKING:
    from condsim.catalogue import CatalogueModel
    from condsim.catalogue.parts.question import Question
    from condsim.catalogue.parts.rivals import Rival


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


def simulate_model(model: CatalogueModel, scenario: ScenarioOptions, json: bool) -> None:
    """Predict a model of the catalogue, and its dense rivals beside it."""
    question = _question(scenario)
    profile_name = _one_device(scenario)
    from condsim.catalogue.parts.question import trace_of
    from condsim.catalogue.parts.rivals import rivals_of
    from condsim.hardware import hardware
    from condsim.study.answer import answer

    profile = hardware(profile_name)
    began = time.perf_counter()
    trace = trace_of(model, question, _recording)
    options = scenario.keywords() | {"phase": question.phase, "batch": question.batch}
    if options["runtime"] is None and profile.kind == "gpu":
        options["runtime"] = "served"
    answered = answer(trace, profile, scenario.strategy, scenario.baseline, **options)
    rivals = list(rivals_of(model, answered.prediction, profile, question, _recording))
    if json:
        about = {"command": "simulate", "model": model.name, "context": question.context}
        print_json({**about, **answered.to_dict(), "rivals_dense": [_row(one) for one in rivals]})
        return
    from condsim.cli.simulate import print_answer

    print_answer(answered, model.name, time.perf_counter() - began, rivals)
    larger = ["--device", profile_name, "--batch", str(4 * question.batch)]
    suggest(command("simulate", model.name, *larger, "--context", str(question.context)))


def _question(scenario: ScenarioOptions) -> Question:
    from condsim.catalogue.parts.question import Question

    asked: dict[str, Any] = {}
    for name in ("batch", "context", "phase"):
        value = getattr(scenario, name)
        if value is not None:
            asked[name] = value
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


def _row(rival: Rival) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "name": rival.name,
        "why": rival.why,
        "speedup": rival.speedup,
        "latency_s": rival.step.latency_s,
        "memory": asdict(rival.step.memory),
    }
