"""calibrate and profiles: what condsim knows about devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from condsim.cli.arguments import MOST_THREADS, check_at_least_one
from condsim.cli.commands import cli_command
from condsim.cli.output import command, out, plain, print_json, progress, suggest
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.hardware import HardwareProfile

PARTS = (
    "peak_flops",
    "matmul_efficiency",
    "memory",
    "host",
    "matrix",
    "graphs",
    "companion",
    "weight_cache_bytes",
    "gpu",
    "links",
    "power",
)
"""The parts of a profile that hold numbers, in the order in which they are listed."""
DESCRIBED = ("name", "description", "dtype", "runtime", "threads", "fingerprint")


@cli_command("calibrate", "Measure the operators of this machine.", place=180)
def calibrate(
    *,
    full: bool = False,
    threads: int = 1,
    dtype: str = "fp32",
    compiled: bool = False,
    device: str = "cpu",
    like: str | None = None,
    json: bool = False,
) -> None:
    """Measure the operators of this machine, check what follows, and keep the profile.

    It takes about a minute and a half; the machine should be idle.

    Parameters
    ----------
    full
        Visit more sizes: several minutes.
    threads
        PyTorch threads.
    dtype
        fp32 or bf16: of weights and activations. bf16 takes several minutes where the processor has
        no instructions for it.
    compiled
        Also what torch.compile costs on the CPU (it needs a C++ compiler; half a minute more).
    device
        cuda: measure the constants of the GPU's profile instead. Tested on CPUs only so far.
    like
        With --device: the shipped profile of its kind (default: the one that the GPU's name says).
    json
        Print JSON.
    """
    check_at_least_one("threads", threads, MOST_THREADS)
    if device != "cpu" and (compiled or dtype != "fp32"):
        raise CondsimError(
            "--dtype and --compiled go with --device cpu: "
            "a GPU's profile has all dtypes and runtimes at once"
        )
    if device == "cpu" and like is not None:
        raise CondsimError("--like goes with --device cuda: the CPU's profile is made anew")
    from condsim.api import calibrate as calibrate_cpu
    from condsim.calibrate.accelerator import calibrate_accelerator
    from condsim.hardware import cache_folder

    with progress() as step:
        if device == "cpu":
            profile = calibrate_cpu(
                full=full, threads=threads, dtype=dtype, compiled=compiled, progress=step
            )
        else:
            profile = calibrate_accelerator(device, like, step)
    file = f"{cache_folder() / profile.name}.yaml"
    if json:
        print_json({"command": "calibrate", "profile": described(profile), "file": file})
        return
    _print_numbers(profile)
    out().print(f"kept in {file}")
    _print_self_check(profile)
    suggest("condsim demo", "condsim capture moe-bytes -o moe-bytes")


@cli_command("profiles", "List devices, or the numbers of one and their sources.", place=200)
def profiles(name: str | None = None, /, *, json: bool = False) -> None:
    """List the devices condsim knows, or every number of one with its basis and source.

    Parameters
    ----------
    name
        A profile's name, a YAML file, or this-machine.
    json
        Print JSON.
    """
    if name is None:
        _list_profiles(json)
        return
    from condsim.hardware import hardware

    profile = hardware(name)
    if json:
        print_json({"command": "profiles", "profile": described(profile)})
        return
    _print_numbers(profile)
    _print_self_check(profile)
    suggest(command("simulate", "TRACE", "--device", name))


def _list_profiles(json: bool) -> None:
    from condsim.hardware import THIS_MACHINE, cache_folder

    known = _known_profiles()
    if json:
        listed = [_listed(name, profile) for name, profile in known.items()]
        print_json({"command": "profiles", "profiles": listed, "cache": str(cache_folder())})
        return
    from condsim.show.catalogue import profile_list

    out().print(profile_list(known))
    if THIS_MACHINE in known:
        suggest("condsim profiles NAME")
    else:
        suggest("condsim calibrate      (adds this machine)", "condsim profiles NAME")


def _known_profiles() -> dict[str, HardwareProfile]:
    """The profiles that come with condsim, and this machine's where it was calibrated."""
    from condsim.hardware import THIS_MACHINE, readable, this_machine
    from condsim.hardware import profiles as shipped

    known: dict[str, HardwareProfile] = {}
    for name, file in shipped().items():
        for profile in readable([file]):
            known[name] = profile
    local = this_machine()
    if local is not None:
        known[THIS_MACHINE] = local
    return known


def _listed(name: str, profile: HardwareProfile) -> dict[str, Any]:
    """One line of the list, for JSON."""
    return {
        "name": name,
        "class": profile.kind,
        "description": profile.description,
        "calibrated": profile.calibrated,
        "dtypes": list(profile.peak_flops),
        "self_check": _self_check(profile),
    }


def _print_numbers(profile: HardwareProfile) -> None:
    from condsim.show.catalogue import profile_table

    out().print(profile_table(numbers(profile), profile.description))


def _print_self_check(profile: HardwareProfile) -> None:
    """How far off a calibration was on built-in modules, where it was checked."""
    from condsim.show.catalogue import self_check_lines

    if profile.self_check is not None:
        out().print(*self_check_lines(profile.self_check), sep="\n")


def _self_check(profile: HardwareProfile) -> dict[str, Any] | None:
    """The self-check of a profile and its figures, for JSON; None where there is none."""
    check = profile.self_check
    return None if check is None else {**check.model_dump(), **check.figures()}


def described(profile: HardwareProfile) -> dict[str, Any]:
    """A profile for JSON: what it is, and its numbers one by one."""
    about = {name: plain(getattr(profile, name)) for name in DESCRIBED}
    checked = _self_check(profile)
    return {"class": profile.kind, **about, "self_check": checked, "numbers": numbers(profile)}


def numbers(profile: HardwareProfile) -> list[dict[str, Any]]:
    """Each number of a profile, a row each: what, value, basis, source, uncertainty.

    what: its path. value: None for a table or a curve, whose source says how much it holds.
    """
    fields = profile.model_dump()
    rows: list[dict[str, Any]] = []
    for part in PARTS:
        rows += _quantities(part, fields[part])
    for kind, tables in (("operators", profile.operators), ("matmuls", profile.matmuls)):
        for name, table in tables.items():
            source = f"a table of {count(table.seconds)} times"
            rows.append(_calibrated(f"{kind}.{name}", None, source, table.uncertainty))
    for name, seconds in profile.extra_s.items():
        rows.append(_calibrated(f"extra_s.{name}", seconds, ""))
    curves = {"residency": profile.residency, "activations": profile.activations}
    for name, curve in curves.items():
        if curve is not None:
            source = f"a curve of {len(curve.distance)} distances"
            rows.append(_calibrated(name, None, source))
    return rows


def _quantities(path: str, fields: Any) -> Iterator[dict[str, Any]]:
    """The quantities in a part of a profile, however deep. path: of the part."""
    if not isinstance(fields, Mapping):
        return
    if "basis" in fields:
        row: dict[str, Any] = {"what": path}
        for name in ("value", "basis", "source", "uncertainty"):
            row[name] = fields.get(name)
        yield row
        return
    for name, inner in fields.items():
        yield from _quantities(f"{path}.{name}", inner)


def _calibrated(
    path: str, value: float | None, source: str, uncertainty: float | None = None
) -> dict[str, Any]:
    """One calibrated number that is not a quantity of the profile, or a table of them."""
    return {
        "what": path,
        "value": value,
        "basis": "calibrated",
        "source": source,
        "uncertainty": uncertainty,
    }


def count(seconds: list[Any]) -> int:
    """How many times a table holds. seconds: times, or rows of times."""
    total = 0
    for entry in seconds:
        total += len(entry) if isinstance(entry, list) else 1
    return total
