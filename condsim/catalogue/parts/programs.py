"""A model of the catalogue → what it executes, recorded without weights and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from condsim.catalogue.forms import FORMS
from condsim.catalogue.parts.base import CatalogueModel
from condsim.errors import CondsimError
from condsim.hardware.find import cache_folder
from condsim.parallel.tensor import with_collectives
from condsim.program.regime import Regime
from condsim.trace import Trace
from condsim.trace.read import load

if TYPE_CHECKING:
    import torch

FORMAT = 1
"""Of what is kept on disk; another one is recorded anew."""
RECORDING = ("record", "live", "capture", "program", "catalogue/forms")
"""Packages that what is recorded depends on."""
MOST_OF_A_SHARE = 1.5
"""Parameters of a rank over an equal part: norms, routers and latents are on every rank."""


def programs_of(
    model: CatalogueModel,
    regime: Regime,
    progress: Callable[[str], None] = lambda _name: None,
) -> Trace:
    """Return the programs of a model in a regime: a trace without decisions.

    They are recorded the first time, which takes some seconds and needs PyTorch and transformers.
    """
    folder = _folder(model, regime)
    if folder.exists():
        return _shared(load(folder), model)
    trace = _record(model, regime, progress)
    with contextlib.suppress(CondsimError, OSError):  # a cache that cannot be written is none
        folder.parent.mkdir(parents=True, exist_ok=True)
        trace.save(folder)
    return _shared(trace, model)


def _shared(trace: Trace, model: CatalogueModel) -> Trace:
    """The trace with what ranks do together, where it is the share of one.

    Raises CondsimError where the class of the model did not take the smaller configuration.
    """
    if model.tensor == 1:
        return trace
    parameters = trace.header.provenance.parameters
    if parameters > MOST_OF_A_SHARE * model.parameters / model.tensor:
        raise CondsimError(
            f"parallel: tensor={model.tensor}: a rank of {model.name} would hold {parameters:.3g} "
            f"of {model.parameters:.3g} parameters: its class cannot be cut by configuration"
        )
    sites = [site.name for site in trace.sites]
    programs = {
        name: with_collectives(program, model.tensor, sites)
        for name, program in trace.programs.items()
    }
    return replace(trace, programs=programs)


def all_programs_of(
    model: CatalogueModel,
    regimes: Iterable[Regime],
    progress: Callable[[str], None] = lambda _name: None,
) -> Trace:
    """Return the programs of a model in several regimes, as `programs_of` does in one."""
    traces = [programs_of(model, regime, progress) for regime in regimes]
    together = {name: program for trace in traces for name, program in trace.programs.items()}
    return replace(traces[0], programs=together)


def _folder(model: CatalogueModel, regime: Regime) -> Path:
    """Where the programs are kept, by all that they depend on."""
    return cache_folder() / "catalogue" / f"{model.name}-{regime}-{digest_of(model)}"


def digest_of(model: CatalogueModel) -> str:
    """Return what stands for all that the programs of a model depend on, as hexadecimal text."""
    depends_on = {
        "format": FORMAT,
        "model_type": model.model_type,
        "config": dict(model.config),
        "form": model.form,
        "transformers": _version("transformers"),
        "torch": _version("torch"),
        "code": _code_digest(FORMS[model.form].code),
    }
    text = json.dumps(depends_on, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _version(package: str) -> str:
    """Of an installed package; "" where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _code_digest(files: Iterable[str]) -> str:
    """Of the code that records. files: those that build the model."""
    digest = hashlib.sha256()
    condsim = Path(__file__).parents[2]
    for name in files:
        digest.update((condsim / name).read_bytes())
    for package in RECORDING:
        for file in sorted((condsim / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _record(model: CatalogueModel, regime: Regime, progress: Callable[[str], None]) -> Trace:
    from condsim.capture.header import Labels
    from condsim.capture.on_meta import capture_programs
    from condsim.live.inputs import SequenceAxis, as_batches

    form = FORMS[model.form]
    axis: SequenceAxis = None if form.images else "auto"
    (batch,) = as_batches(form.inputs(model), axis)
    labels = Labels(model.title)
    return capture_programs(build(model), batch, labels, regimes=[regime], progress=progress)


def build(model: CatalogueModel) -> torch.nn.Module:
    """Return the model on PyTorch's meta device, in evaluation mode."""
    import torch

    with torch.device("meta"):
        return FORMS[model.form].build(model)
