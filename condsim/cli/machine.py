"""calibrate and profiles: what condsim knows about devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from condsim.cli.output import at_least_one, out, plain, print_json, progress, say, suggest
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.hardware import HardwareProfile


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
    """Measure the operators of this machine and keep the profile (micro-benchmarks only, about a minute).

    Parameters
    ----------
    full
        Visit more sizes: several minutes.
    threads
        PyTorch threads.
    dtype
        fp32 or bf16: of weights and activations. bf16 takes several minutes where the processor has no instructions for it.
    compiled
        Also what torch.compile costs on the CPU (it needs a C++ compiler; half a minute more).
    device
        cuda: measure the constants of the GPU's profile instead. Tested on CPUs only so far.
    like
        With --device: the shipped profile of its kind (default: the one that the GPU's name says).
    json
        Print JSON.
    """
    at_least_one("threads", threads)
    if device != "cpu" and (compiled or dtype != "fp32"):
        raise CondsimError(
            "--dtype and --compiled go with --device cpu: a GPU's profile has all dtypes and runtimes at once"
        )
    if device == "cpu" and like is not None:
        raise CondsimError("--like goes with --device cuda: the CPU's profile is made anew")
    from condsim.calibrate import calibrate as run
    from condsim.calibrate.accelerator import calibrate_accelerator
    from condsim.hardware import cache_folder

    with progress() as step:
        profile = (
            run(full=full, threads=threads, dtype=dtype, compiled=compiled, progress=step)
            if device == "cpu"
            else calibrate_accelerator(device, like, step)
        )
    if json:
        print_json(
            {
                "command": "calibrate",
                "profile": described(profile),
                "file": str(cache_folder() / f"{profile.name}.yaml"),
            }
        )
        return
    from condsim.show.text import profile_table

    out().print(profile_table(numbers(profile), profile.description))
    out().print(f"kept in {cache_folder() / profile.name}.yaml", markup=False)
    suggest("condsim demo", "condsim capture moe-bytes -o moe-bytes")


def profiles(name: str | None = None, /, *, json: bool = False) -> None:
    """List the devices condsim knows, or every number of one with its basis and source.

    Parameters
    ----------
    name
        A profile's name, a YAML file, or this-machine.
    json
        Print JSON.
    """
    from condsim.hardware import THIS_MACHINE, cache_folder, hardware, load_profile, this_machine
    from condsim.hardware import profiles as shipped

    if name is not None:
        profile = hardware(name)
        if json:
            print_json({"command": "profiles", "profile": described(profile)})
            return
        from condsim.show.text import profile_table

        out().print(profile_table(numbers(profile), profile.description))
        suggest(f"condsim simulate TRACE --device {name}")
        return
    known: dict[str, HardwareProfile] = {}
    for n, p in shipped().items():
        try:
            known[n] = load_profile(p)
        except CondsimError as error:
            say(f"left out: {error}")
    own = this_machine()
    if own is not None:
        known[THIS_MACHINE] = own
    if json:
        listed = [
            {
                "name": n,
                "class": p.kind,
                "description": p.description,
                "calibrated": p.calibrated,
                "dtypes": list(p.peak_flops),
            }
            for n, p in known.items()
        ]
        print_json({"command": "profiles", "profiles": listed, "cache": str(cache_folder())})
        return
    from condsim.show.text import profile_list

    out().print(profile_list(known))
    suggest(
        *(
            ["condsim profiles NAME"]
            if own is not None
            else ["condsim calibrate      (adds this machine)", "condsim profiles NAME"]
        )
    )


def numbers(profile: HardwareProfile) -> list[dict[str, Any]]:
    """Each number of a profile: what, value, basis, source, and what a table holds."""
    found: list[dict[str, Any]] = []

    def walk(path: str, value: Any) -> None:
        if isinstance(value, dict) and "basis" in value:
            found.append(
                {
                    "what": path,
                    **{k: value.get(k) for k in ("value", "basis", "source", "uncertainty")},
                }
            )
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{path}.{key}" if path else str(key), inner)

    data = profile.model_dump()
    for key in (
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
    ):
        walk(key, data[key])
    found += [
        {
            "what": f"{kind}.{n}",
            "value": None,
            "basis": "calibrated",
            "source": f"a table of {count(t)} times",
            "uncertainty": t.uncertainty,
        }
        for kind, tables in (("operators", profile.operators), ("matmuls", profile.matmuls))
        for n, t in tables.items()
    ]
    found += [
        {
            "what": f"extra_s.{n}",
            "value": v,
            "basis": "calibrated",
            "source": "",
            "uncertainty": None,
        }
        for n, v in profile.extra_s.items()
    ]
    for name, table in (("residency", profile.residency), ("activations", profile.activations)):
        if table is not None:
            source = f"a curve of {len(table.distance)} distances"
            found.append(
                {
                    "what": name,
                    "value": None,
                    "basis": "calibrated",
                    "source": source,
                    "uncertainty": None,
                }
            )
    return found


def count(table: Any) -> int:
    """How many times a table holds."""
    return sum(len(row) if isinstance(row, list) else 1 for row in table.seconds)


def described(profile: HardwareProfile) -> dict[str, Any]:
    """A profile for JSON: what it is, and its numbers one by one."""
    kept = ("name", "description", "dtype", "runtime", "threads", "fingerprint")
    return {
        "class": profile.kind,
        **{k: plain(getattr(profile, k)) for k in kept},
        "numbers": numbers(profile),
    }
