"""What the commands share: where output goes, progress, JSON, reading arguments."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from condsim.errors import CondsimError, unknown
from condsim.files import check_writable, is_stream, write_whole

if TYPE_CHECKING:
    from condsim.hardware import HardwareProfile
    from condsim.trace import Trace

SCHEMA_VERSION = 1
Step = Callable[..., None]
"""(what, done, of how many = 1.0)"""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to `condsim.cli.main` what happens when nobody reads any more."""
        raise


def out() -> Console:
    """Where data go. Never so narrow that a table would be cut."""
    console = _Console(highlight=False)
    return _Console(highlight=False, width=max(console.width, 150 if console.is_terminal else 240))


def err() -> Console:
    """Where everything else goes."""
    return _Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(data: dict[str, Any]) -> None:
    """One JSON object on stdout: schema_version, then `data`; numbers that are not finite are null."""
    print(json.dumps(plain({"schema_version": SCHEMA_VERSION, **data}), indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """`value` as JSON has it: NumPy scalars as numbers, what is not finite as None, tables as a list of rows."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return plain(value.to_dict("records"))
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(exclude_none=True))
    return None if value != value else str(value)


@contextmanager
def progress() -> Iterator[Step]:
    """A bar on stderr for each thing that is being done, where stderr is a terminal."""
    console = err()
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda *_: None
        return
    from rich.progress import (
        BarColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def step(what: str, done: float, of: float = 1.0) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done, total=of)

        yield step


def say(text: str) -> None:
    """A line on stderr."""
    err().print(text, markup=False)


def suggest(*commands: str) -> None:
    """What to try next, on stderr."""
    say("next: " + "\n      ".join(commands))


def open_trace(where: str) -> Trace:
    """A trace from a folder, or one that comes with condsim by its name."""
    from condsim.resources import resource
    from condsim.trace.store import load

    folder = Path(where)
    if folder.exists():
        return load(folder)
    shipped = resource("traces")
    names = (
        sorted(p.name for p in shipped.iterdir() if (p / "trace.json").is_file())
        if shipped.is_dir()
        else []
    )
    if where in names:
        return load(shipped / where)
    if os.sep in where or not names:
        raise CondsimError(
            f"there is no folder {where}; a trace is a folder that `condsim capture SPEC -o FOLDER` writes"
        )
    raise unknown("trace", where, names, "a folder, or a trace that comes with condsim")


def own_profile(step: Step | None = None, threads: int = 1, dtype: str = "fp32") -> HardwareProfile:
    """The profile of this machine, in fp32 but for "bf16"; where there is none it is calibrated first, with progress."""
    from condsim.hardware import this_machine

    dtype = dtype if dtype == "bf16" else "fp32"
    found = this_machine(threads, dtype)
    if found is not None:
        return found
    from condsim.calibrate import calibrate

    say(f"no {dtype} profile of this machine yet: calibrating it (a minute or two)")
    if step is not None:
        return calibrate(threads=threads, dtype=dtype, progress=step)
    with progress() as bar:
        return calibrate(threads=threads, dtype=dtype, progress=bar)


def profile_for(name: str | None, trace: Trace | None = None) -> HardwareProfile:
    """The profile that a command is about: by name, else the one the trace was measured under, else this machine's."""
    from condsim.hardware import THIS_MACHINE, hardware

    if name is None and trace is not None and trace.profile is not None:
        profile: HardwareProfile = trace.profile
        return profile
    if name is None or name == THIS_MACHINE:
        return own_profile(dtype="fp32" if trace is None else trace.dtype)
    return hardware(name)


def at_least_one(what: str, value: int | None) -> None:
    """Raises CondsimError for numbers below 1, before anything is done."""
    if value is not None and value < 1:
        raise CondsimError(f"{what} must be at least 1, got {value}")


def one_of(what: str, value: str | None, known: tuple[str, ...]) -> None:
    """Raises CondsimError for a name that is not known, before anything is done."""
    if value is not None and value not in known:
        raise unknown(what, value, known)


def writable(path: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Raises CondsimError where a file could not be written, before anything is done.

    suffixes: how its name must end, unless it is a device or a pipe.
    """
    if path is None:
        return
    if suffixes and path.suffix.lower() not in suffixes and not is_stream(path):
        raise CondsimError(f"{path} must end in {', '.join(suffixes)}")
    check_writable(path)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_whole(path, text)
