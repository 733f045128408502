"""app: the dashboard, in the browser."""

from __future__ import annotations

import importlib.util
import os
import sys

from condsim.cli.arguments import open_trace
from condsim.cli.commands import cli_command
from condsim.errors import CondsimError

LAST_PORT = 65535
ADDRESS = "127.0.0.1"
"""Of this machine only. As an option, it counts more than the environment and any settings."""
GIVEN = "CONDSIM_TRACE"
"""Environment variable: the trace that `condsim app TRACE` was given."""
NO_DUPLICATION_WARNING = "STREAMLIT_GLOBAL_DISABLE_WIDGET_STATE_DUPLICATION_WARNING"
"""Streamlit's own: boxes have a default and follow the address, which it would warn of."""


@cli_command("app", "Explore traces in the browser.", place=170)
def app(trace: str | None = None, /, *, port: int | None = None, headless: bool = False) -> None:
    """Explore traces in the browser, on this machine only. Ctrl-C ends it.

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim. Default: choose in the
        browser.
    port
        Default: 8501, or the next one that is free.
    headless
        Only serve: open no browser window.
    """
    if port is not None and not 1 <= port <= LAST_PORT:
        raise CondsimError(f"port must be 1 to {LAST_PORT}, got {port}")
    if importlib.util.find_spec("streamlit") is None:
        raise CondsimError(
            "the dashboard needs Streamlit, which is not installed: pip install 'condsim[app]'"
        )
    from condsim.resources import resource

    if trace is not None:
        open_trace(trace)  # raises where it could not be shown
        os.environ[GIVEN] = trace
    os.environ[NO_DUPLICATION_WARNING] = "true"
    command = [sys.executable, "-m", "streamlit", "run", str(resource("app.py"))]
    command.append(f"--server.headless={str(headless).lower()}")
    command.append(f"--server.address={ADDRESS}")
    if port is not None:
        command.append(f"--server.port={port}")
    sys.stdout.flush()
    os.execv(sys.executable, command)
