"""The command line: a short function a command, which calls the library and prints what it says.
A new command is a new file here: every module of this folder is imported.

Data go to stdout, everything else to stderr. Exit codes: 0; 2 for bad input, with one line that
says what is wrong; 1 where what was required is not met (`condsim advise --require`), and, with one
line, where condsim itself failed (CONDSIM_DEBUG=1 prints the traceback); 130 for Ctrl-C, 143 for
SIGTERM.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import cyclopts

from condsim import __version__
from condsim.cli.commands import COMMANDS
from condsim.cli.help import JoinLines
from condsim.cli.output import out
from condsim.cli.whole_numbers import refuse_parts
from condsim.errors import CondsimError, shortened
from condsim.show.escape import printable

QUESTION = (
    "Does conditional computation pay on this device, and where did the rest of the saving go?"
)
EXAMPLES = """\
condsim demo                                  measured and predicted, here, now
condsim capture moe-bytes -o moe              what a model decides and executes
condsim simulate moe --device nvidia-h100-sxm where the FLOP saving went
condsim simulate qwen3-30b-a3b --device nvidia-h200-sxm --batch 32
condsim compare moe                           predicted beside measured
condsim app moe                               all of it in the browser
"""
OPTIONAL_PACKAGES = {
    "torch": "'condsim[capture]'",
    "transformers": "transformers",
    "sklearn": "sklearn",
    "distributed": "'condsim[dask]'",
    "dask": "'condsim[dask]'",
}
"""Package that only some commands need → what to install."""
INTERRUPTED = 130
"""The exit code after Ctrl-C."""
TOLD_BY = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals by which other processes, or a terminal that is closed, tell a process to end."""

app = cyclopts.App(
    name="condsim",
    help=QUESTION,
    help_prologue=EXAMPLES,
    version=__version__,
    help_format="plaintext",
    help_formatter=JoinLines(),
    default_parameter=cyclopts.Parameter(negative=()),
    suppress_keyboard_interrupt=False,
)
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
for _name, _command in COMMANDS.items():
    app.command(
        _command.run,
        name=_name,
        help=_command.says,
        help_prologue="",
        sort_key=_command.place,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code; never raises."""
    with _warnings_in_one_line():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    tokens = list(given)
    _open_closed_streams()
    _print_anything()
    try:
        with _ending_when_told():
            refuse_parts(app, tokens)
            result = app(
                tokens,
                console=out(),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except _Told as told:
        return told.exit_code
    except BrokenPipeError:
        _discard(sys.stdout)
        _discard(sys.stderr)
        return 0
    except Exception as error:
        message = _message(error)
        if message is None:
            _complain(_failed(error))
            return 1
        _complain(message)
        return 2


class _Told(BaseException):
    """Another process told this one to end. Not an Exception: nothing but cleaning up is done."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


@contextlib.contextmanager
def _ending_when_told() -> Iterator[None]:
    """Clean up when this process is told to end, as after Ctrl-C.

    A signal that is ignored, as `nohup` does it, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    changed = [n for n in TOLD_BY if signal.getsignal(n) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: object) -> None:
    raise _Told(number)


@contextlib.contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Print warnings as one line each."""

    def say(message: Warning | str, *_: object, **__: object) -> None:
        _write(f"warning: {_one_line(message)}")

    with warnings.catch_warnings():
        warnings.showwarning = say
        yield


def _failed(error: Exception) -> str:
    """One line for an error of condsim's own; its traceback is printed where that is asked for."""
    if os.environ.get("CONDSIM_DEBUG"):
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(__file__).parents[1] in Path(frame.filename).parents]
    last = (ours or frames)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    said = f"{type(error).__name__} at {where}: {_one_line(error):.200}"
    return f"condsim itself failed ({said}); CONDSIM_DEBUG=1 prints the traceback, please report it"


def _print_anything() -> None:
    """Let a terminal whose encoding lacks a character show "?" in its place."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors == "strict":
            reconfigure(errors="replace")


def _open_closed_streams() -> None:
    """Give a process that was started without standard output or error one that nobody reads."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _discard(stream: IO[str]) -> None:
    """Send what a stream still holds to nobody, so that it does not fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, stream.fileno())
        os.close(nobody)


def _complain(message: str) -> None:
    """Print one line on standard error; nothing where nothing can be written any more."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard(sys.stdout)
    _write(f"error: {message}")


def _write(line: str) -> None:
    """Print a line on standard error; nothing where that is not possible."""
    try:
        print(printable(line), file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _message(error: Exception) -> str | None:
    """One line for a person; None where the error is condsim's and not the user's."""
    if isinstance(error, ImportError):
        return _missing_package(error)
    if isinstance(error, OSError):
        if error.errno is None:
            return None
        where = "the output cannot be written" if error.filename is None else error.filename
        return f"{where}: {error.strerror}"
    if not isinstance(error, (CondsimError, cyclopts.CycloptsError)):
        return None
    line = _one_line(error)
    if isinstance(error, cyclopts.CycloptsError) and error.msg is None:
        line = f"{line} (condsim --help)"
    return shortened(line)


def _missing_package(error: ImportError) -> str | None:
    """How to install a package that only some commands need; None for any other import."""
    missing = (error.name or "").split(".")[0]
    if missing not in OPTIONAL_PACKAGES:
        return None
    install = OPTIONAL_PACKAGES[missing]
    return f"this command needs {missing}, which is not installed: pip install {install}"
