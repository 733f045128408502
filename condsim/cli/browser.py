"""app: the dashboard, in the browser."""

from __future__ import annotations

import importlib.util
import os
import sys

from condsim.cli.output import open_trace
from condsim.errors import CondsimError


def app(trace: str | None = None, /, *, port: int | None = None, headless: bool = False) -> None:
    """Explore traces in the browser, on this machine only. Ctrl-C ends it.

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim. Default: choose in the browser.
    port
        Default: 8501, or the next one that is free.
    headless
        Only serve: open no browser window.
    """
    if port is not None and not 1 <= port <= 65535:
        raise CondsimError(f"port must be 1 to 65535, got {port}")
    if importlib.util.find_spec("streamlit") is None:
        raise CondsimError(
            "the dashboard needs Streamlit, which is not installed: pip install 'condsim[app]'"
        )
    from condsim.dashboard import GIVEN
    from condsim.resources import resource

    if trace is not None:
        open_trace(trace)
        os.environ[GIVEN] = trace
    options = {
        "server.headless": str(headless).lower(),
        **({"server.port": str(port)} if port is not None else {}),
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    sys.stdout.flush()
    os.execv(
        sys.executable, [sys.executable, "-m", "streamlit", "run", str(resource("app.py")), *flags]
    )
