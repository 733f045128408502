"""serve: requests that arrive as they please, on one device or several replicas."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import (
    catalogue_model,
    check_known,
    check_output_file,
    open_trace,
    profile_for,
)
from condsim.cli.commands import cli_command
from condsim.cli.output import Step, command, out, print_json, progress, say, suggest
from condsim.cli.scenario import BASELINES, OneDeviceOptions
from condsim.cli.simulated import shared_model
from condsim.errors import CondsimError
from condsim.files import write_whole

if TYPE_CHECKING:
    from condsim.catalogue import CatalogueModel
    from condsim.hardware import HardwareProfile
    from condsim.serve.requests import Lengths, Requests
    from condsim.serve.serving import Serving
    from condsim.trace import Trace

PLOTS = (".svg", ".pdf", ".png")
PER = {"s": 1.0, "min": 60.0, "h": 3600.0}
"""Unit of time → seconds."""
RATE = re.compile(r"([0-9.eE+-]+)(?:/(s|min|h))?")
BURSTS = re.compile(r"(\d+)/([0-9.eE+-]+)s?")
LENGTHS = re.compile(r"(\d+)(?:-(\d+))?")


@dataclass(frozen=True, kw_only=True)
class ServedScenarioOptions(OneDeviceOptions):
    """How the model runs, and on what.

    Parameters
    ----------
    capacity_factor
        Rows that an expert has room for over its even share, where the strategy is padded.
        Default: 1.25.
    expert_cache
        Share of the experts' weights that the device keeps, where the strategy is offloaded.
        Default: what its memory has room for.
    parallel
        Devices of a replica: expert=8 spreads the experts over them, each with requests of its
        own; tensor=8, of a model by name, cuts every layer.
    """

    parallel: str | None = None
    capacity_factor: float | None = None
    expert_cache: float | None = None
    batch: Annotated[int | None, Parameter(parse=False)] = None


@dataclass(frozen=True, kw_only=True)
class ArrivalOptions:
    """Which requests arrive.

    Parameters
    ----------
    requests
        A CSV or Parquet file with a column arrival_s, and prompt_tokens and output_tokens for a
        model that generates text.
    poisson
        Requests that arrive independently: 200/s, 12/min, 1/h.
    bursts
        So many at once, every so many seconds: 32/0.5s.
    count
        Requests that are drawn.
    prompt_tokens
        Of a drawn request: 512, or 100-2000 for any length between.
    output_tokens
        The same, of its answer.
    seed
        Of all draws.
    """

    requests: Path | None = None
    poisson: str | None = None
    bursts: str | None = None
    count: int = 2000
    prompt_tokens: str | None = None
    output_tokens: str | None = None
    seed: int = 0

    def check(self) -> None:
        """Raises CondsimError unless exactly one kind of arrivals is named."""
        named = [self.requests, self.poisson, self.bursts]
        if sum(option is not None for option in named) != 1:
            raise CondsimError("name one of --requests FILE, --poisson 200/s and --bursts 32/0.5s")

    def read(self) -> Requests:
        """Read or draw the requests."""
        from condsim.serve.request_table import read_requests
        from condsim.serve.requests import bursts, poisson

        if self.requests is not None:
            if self.prompt_tokens or self.output_tokens:
                raise CondsimError("--prompt-tokens and --output-tokens are for drawn requests")
            return read_requests(self.requests)
        lengths = _lengths("prompt", self.prompt_tokens), _lengths("output", self.output_tokens)
        if self.poisson is not None:
            return poisson(_rate(self.poisson), self.count, *lengths, seed=self.seed)
        assert self.bursts is not None
        size, every_s = _bursts(self.bursts)
        return bursts(size, every_s, self.count, *lengths, seed=self.seed)


def _rate(text: str) -> float:
    """Requests a second."""
    match = RATE.fullmatch(text)
    try:
        assert match is not None
        return float(match[1]) / PER[match[2] or "s"]
    except (AssertionError, ValueError):
        raise CondsimError(f"--poisson is a rate such as 200/s or 12/min, got {text!r}") from None


def _bursts(text: str) -> tuple[int, float]:
    match = BURSTS.fullmatch(text)
    try:
        assert match is not None
        return int(match[1]), float(match[2])
    except (AssertionError, ValueError):
        raise CondsimError(
            f"--bursts is a number of requests and seconds such as 32/0.5s, got {text!r}"
        ) from None


def _lengths(what: str, text: str | None) -> Lengths | None:
    from condsim.serve.requests import Lengths

    if text is None:
        return None
    match = LENGTHS.fullmatch(text)
    if match is None:
        raise CondsimError(f"--{what}-tokens is 512 or 100-2000, got {text!r}")
    return Lengths(int(match[1]), int(match[2] or match[1]))


@dataclass(frozen=True, kw_only=True)
class ServiceOptions:
    """How requests are served.

    Parameters
    ----------
    scheduler
        Who runs next: dynamic or static where one forward answers a request, chunked, ahead,
        continuous or static where text is generated.
    max_batch
        Requests that run at once, a replica. Default: 32.
    max_wait
        Seconds that the oldest request waits for others before a dynamic batch starts.
    token_budget
        Tokens that a step computes at most, where prompts are cut into chunks. Default: 2048.
    kv_tokens
        Tokens whose keys and values fit into a replica's memory. Default: no limit.
    kv_block
        Tokens of a block of that memory. Default: 16.
    exits
        When samples leave a batch early: leave, wait (for the slowest) or regroup.
    overhead
        Seconds that the server itself takes a step.
    cache
        Which experts the device keeps, where the strategy is offloaded: lru, lfu, lfru, pinned.
    dispatch
        Which replica gets a request: shared (one queue), round-robin or least-loaded.
    replicas
        Copies of the model, each on a device of its own.
    limit_latency
        Seconds that an answer may take, for the goodput.
    limit_ttft
        Seconds that its first token may take.
    limit_tpot
        Seconds that each token after it may take.
    """

    scheduler: str | None = None
    max_batch: int = 32
    max_wait: float = 0.0
    token_budget: int = 2048
    kv_tokens: int | None = None
    kv_block: int = 16
    exits: str = "leave"
    overhead: float = 0.0
    cache: str = "lru"
    dispatch: str = "shared"
    replicas: int = 1
    limit_latency: float | None = None
    limit_ttft: float | None = None
    limit_tpot: float | None = None

    def keywords(self) -> dict[str, Any]:
        """Arguments of `condsim.serve`. Raises CondsimError for what no server has."""
        from condsim.serve.outcome import Limits
        from condsim.serve.service import Service

        service = Service(
            scheduler=self.scheduler,
            max_batch=self.max_batch,
            max_wait_s=self.max_wait,
            token_budget=self.token_budget,
            kv_tokens=self.kv_tokens,
            kv_block=self.kv_block,
            exits=self.exits,
            overhead_s=self.overhead,
            cache=self.cache,
            dispatch=self.dispatch,
            replicas=self.replicas,
        )
        limits = Limits(self.limit_latency, self.limit_ttft, self.limit_tpot)
        return {**service.arguments(), "limits": limits}


@dataclass(frozen=True, kw_only=True)
class OutputFiles:
    """Files that are written.

    Parameters
    ----------
    timeline
        Write the first steps of each replica for Perfetto or chrome://tracing.
    plot
        Draw latencies and queues: .svg, .pdf or .png.
    csv
        Write a row a request of the conditional side.
    """

    timeline: Path | None = None
    plot: Path | None = None
    csv: Path | None = None

    def check(self) -> None:
        """Raises CondsimError for a file that cannot be written."""
        check_output_file(self.timeline, ())
        check_output_file(self.plot, PLOTS)
        check_output_file(self.csv, ())

    def write(self, served: Serving) -> None:
        """Write those that were asked for."""
        if self.timeline is not None:
            from condsim.serve.timeline import write_chrome_trace

            write_chrome_trace(served, self.timeline)
        if self.plot is not None:
            from condsim.show.plots import save_serving

            save_serving(served, self.plot)
        if self.csv is not None:
            from condsim.show.escape import csv as as_csv

            write_whole(self.csv, as_csv(served.conditional.table()))


AS_CAPTURED = ServedScenarioOptions()
NO_ARRIVALS = ArrivalOptions()
USUAL_SERVICE = ServiceOptions()
NO_FILES = OutputFiles()


@cli_command("serve", "Serve requests as they arrive: does it pay under load?", place=70)
def serve(
    trace: str,
    /,
    *,
    scenario: Annotated[ServedScenarioOptions, Parameter(name="*")] = AS_CAPTURED,
    arrivals: Annotated[ArrivalOptions, Parameter(name="*")] = NO_ARRIVALS,
    service: Annotated[ServiceOptions, Parameter(name="*")] = USUAL_SERVICE,
    files: Annotated[OutputFiles, Parameter(name="*")] = NO_FILES,
    json: bool = False,
) -> None:
    """Serve requests as they arrive: latency, load and what waits for what, beside the dense model.

    Parameters
    ----------
    trace
        Folder of a trace, the name of one that comes with condsim, or a model of the catalogue
        (condsim models lists them).
    json
        Print JSON.
    """
    arrivals.check()
    check_known("baseline", scenario.baseline, BASELINES)
    keywords = service.keywords()
    files.check()
    requests = arrivals.read()
    began = time.perf_counter()
    model, parallel = catalogue_model(trace), scenario.keywords().get("parallel")
    if model is not None:
        model = shared_model(model, parallel)
    from condsim.serve.serve import serve as serve_requests

    with progress() as step:
        opened = open_trace(trace) if model is None else _recorded(model, arrivals.seed, step)
        profile = profile_for(scenario.device, opened)
        keywords |= _run_as(scenario) | {"parallel": parallel}
        if model is not None and keywords["runtime"] is None:
            keywords["runtime"] = _engine_of(profile)
        served = serve_requests(
            opened,
            profile,
            requests,
            **keywords,
            seed=arrivals.seed,
            progress=step,
        )
    files.write(served)
    if json:
        from condsim.show.serving import sentence

        print_json({"command": "serve", **served.to_dict(), "sentence": sentence(served)})
        return
    _print(served, time.perf_counter() - began)
    device = [] if scenario.device is None else ["--device", scenario.device]
    suggest(command("simulate", trace, *device))


def _recorded(model: CatalogueModel, seed: int, step: Step) -> Trace:
    """The programs of a model, which are recorded the first time, and drawn routing."""
    from condsim.serve.named import served_model

    return served_model(model, seed, lambda name: step(f"record {name}", 0.0))


def _engine_of(profile: HardwareProfile) -> str | None:
    """The runtime of serving engines where a device has it."""
    from condsim.runtimes.runtime import SERVED

    return SERVED.name if SERVED.is_for(profile) else None


def _run_as(scenario: ServedScenarioOptions) -> dict[str, Any]:
    names = ("strategy", "baseline", "dtype", "runtime", "threshold", "phase", "expert_cache")
    keywords = {name: getattr(scenario, name) for name in names}
    if scenario.capacity_factor is not None:
        keywords["capacity_factor"] = scenario.capacity_factor
    return keywords


def _print(served: Serving, took_s: float) -> None:
    from condsim.show.serving import error_line, sentence, serving_table

    console = out()
    service = served.service
    replicas = "" if service.replicas == 1 else f" · {service.replicas} replicas"
    console.print(
        f"{served.trace} · {served.profile} · {served.runtime} · {served.dtype} · "
        f"{service.scheduler}{replicas} · {len(served.requests)} requests   {took_s:.1f} s"
    )
    console.print(sentence(served))
    console.print(serving_table(served))
    console.print(f"rests on: {served.basis}; {error_line(served)}")
    for note in served.notes:
        say(f"note: {note}")
