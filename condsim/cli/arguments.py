"""What the commands do with what the user typed: check it before any work, and open it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from condsim.cli.output import Step, progress, say
from condsim.errors import CondsimError, shown, unknown
from condsim.files import check_writable, is_stream

if TYPE_CHECKING:
    from condsim.catalogue import CatalogueModel
    from condsim.hardware import HardwareProfile
    from condsim.trace import Trace

MOST_NUMBER = 1 << 40
"""Of anything that a command counts."""
MOST_THREADS = 4096


def check_at_least_one(what: str, value: int | None, most: int = MOST_NUMBER) -> None:
    """Raises CondsimError for a number below 1 or above `most`; None: not given."""
    if value is not None and value < 1:
        raise CondsimError(f"{what} must be at least 1, got {value}")
    if value is not None and value > most:
        raise CondsimError(f"{what} must be at most {most}, got {shown(value)}")


def check_known(what: str, name: str | None, known: tuple[str, ...]) -> None:
    """Raises CondsimError for a name that is not known; None: not given."""
    if name is not None and name not in known:
        raise unknown(what, name, known)


def check_output_file(path: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Raises CondsimError where a file could not be written; None: not given.

    suffixes: one that its name must end with, unless it is a device or a pipe.
    """
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes and not is_stream(path):
        raise CondsimError(f"{path} must end in {', '.join(suffixes)}")
    check_writable(path)


def open_trace(where: str) -> Trace:
    """Open a trace. where: its folder, or the name of one that comes with condsim."""
    from condsim.trace.read import load

    return load(trace_folder(where))


def trace_folder(where: str) -> Path:
    """The folder of a trace, or of one that comes with condsim.

    Raises CondsimError where there is neither.
    """
    from condsim.resources import resource

    folder = Path(where)
    if folder.exists():
        return folder
    shipped = resource("traces")
    names = _shipped_traces(shipped)
    if where in names:
        return shipped / where
    if catalogue_model(where) is not None:
        raise CondsimError(
            f"{where} is a model by name, whose routing is drawn; this command takes what was "
            "captured: a trace's folder, or the name of one that comes with condsim"
        )
    if os.sep in where or not names:
        raise CondsimError(
            f"there is no folder {where}; "
            "a trace is a folder that `condsim capture SPEC -o FOLDER` writes"
        )
    raise unknown("trace", where, names, "a folder, or a trace that comes with condsim")


def catalogue_model(where: str) -> CatalogueModel | None:
    """The model of the catalogue that a user names; None for a trace."""
    from condsim.catalogue import CATALOGUE
    from condsim.resources import resource

    named = where in CATALOGUE and not Path(where).exists()
    return CATALOGUE[where] if named and where not in _shipped_traces(resource("traces")) else None


def _shipped_traces(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(trace.name for trace in folder.iterdir() if (trace / "trace.json").is_file())


def profile_for(name: str | None, trace: Trace | None = None) -> HardwareProfile:
    """The profile that a command is about.

    name: of a profile, a YAML file, or this-machine. None: the one that the trace was measured
    under, else this machine's, which is calibrated where it was not yet.
    """
    from condsim.hardware import THIS_MACHINE, hardware

    if name is None and trace is not None and trace.profile is not None:
        profile: HardwareProfile = trace.profile
        return profile
    if name is None or name == THIS_MACHINE:
        dtype = "fp32" if trace is None else trace.dtype
        return local_profile(dtype=dtype)
    return hardware(name)


def local_profile(
    step: Step | None = None, threads: int = 1, dtype: str = "fp32"
) -> HardwareProfile:
    """The profile of this machine; where there is none the machine is calibrated first.

    step: shows the progress of a calibration; None: a bar is made for it. threads: of PyTorch.
    dtype: any but "bf16" is taken as "fp32", the other one that a calibration knows.
    """
    from condsim.hardware import this_machine

    dtype = dtype if dtype == "bf16" else "fp32"
    profile = this_machine(threads, dtype)
    if profile is not None:
        return profile
    from condsim.api import calibrate

    say(f"no {dtype} profile of this machine yet: calibrating it (a minute or two)")
    if step is not None:
        return calibrate(threads=threads, dtype=dtype, progress=step)
    with progress() as bar:
        return calibrate(threads=threads, dtype=dtype, progress=bar)


def all_devices(trace: Trace) -> list[HardwareProfile]:
    """The devices that `all` stands for, one a name.

    First the one that the trace was measured under, then this machine, which is calibrated only if
    the trace has none, then those that come with condsim.
    """
    from condsim.hardware import profiles, readable, this_machine

    devices: dict[str, HardwareProfile] = {}
    if trace.profile is not None:
        devices[trace.profile.name] = trace.profile
        local = this_machine(dtype=trace.dtype)
    else:
        local = local_profile(dtype=trace.dtype)
    if local is not None:
        devices.setdefault(local.name, local)
    for name, file in profiles().items():
        for profile in readable([file]):
            devices.setdefault(name, profile)
    return list(devices.values())
