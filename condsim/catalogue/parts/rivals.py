"""The dense models that a model of the catalogue is fairly compared with, on the same device."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from condsim.catalogue.forms import FORMS
from condsim.catalogue.parts.base import CATALOGUE, CatalogueModel
from condsim.catalogue.parts.programs import programs_of
from condsim.catalogue.parts.question import Question
from condsim.catalogue.parts.tensor import share_of
from condsim.cost.device import Target
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.dense import Rival, Stored, dense_step
from condsim.predict.prediction import Prediction
from condsim.program.regime import DECODE
from condsim.runtimes import choose_runtime
from condsim.runtimes.runtime import SERVED


def rivals_of(
    model: CatalogueModel,
    prediction: Prediction,
    profile: HardwareProfile,
    question: Question,
    progress: Callable[[str], None] = lambda _name: None,
) -> Iterator[Rival]:
    """Yield every rival on the device, dtype and runtime of a prediction.

    prediction: of the model, for the question. Where the model is spread over devices, each of them
    has a copy of the rival, and an equal part of the batch; where ranks share every layer of the
    model, they do of the rival, which is left out where they do not divide it. A rival that serving
    engines run where they do not run the model runs as they do.
    """
    question, copies = question.of(model).of_a_copy, question.ranks
    seq = 1 if question.phase == DECODE else question.context
    for name, why in model.rivals.items():
        try:
            rival = share_of(CATALOGUE[name], model.tensor)
        except CondsimError:
            continue
        programs = programs_of(rival, question.regime, progress)
        runtime = runtime_of(rival, model, prediction.runtime, profile)
        if runtime != prediction.runtime:
            why = f"{why}; as serving engines run it, where the model runs {prediction.runtime}"
        target = Target(
            profile,
            prediction.dtype,
            choose_runtime(runtime, profile),
            programs.header.provenance.parameters,
        )
        sizes = (question.batch, seq, question.context)
        step = dense_step(programs, target, *sizes, _stored(prediction))
        if copies > 1:
            why = f"{why}; a copy on each of {copies} devices"
        if model.tensor > 1:
            why = f"{why}; shared by {model.tensor} devices, too"
        yield Rival(name, why, step, step.latency_s / prediction.latency_s)


def runtime_of(
    rival: CatalogueModel, model: CatalogueModel, runtime: str, profile: HardwareProfile
) -> str:
    """Return the runtime of a rival. runtime: of the model."""
    only_rival = FORMS[rival.form].served and not FORMS[model.form].served
    return SERVED.name if only_rival and SERVED.is_for(profile) else runtime


def _stored(prediction: Prediction) -> Stored:
    """The dtypes of weights and caches, where they are not that of the arithmetic."""
    dtype = prediction.dtype
    weights = None if prediction.weights == dtype else prediction.weights
    caches = None if prediction.caches == dtype else prediction.caches
    return Stored(weights, caches)
