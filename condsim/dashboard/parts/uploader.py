"""The way for a user's own trace into the app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import streamlit as st

from condsim.dashboard.parts import library, upload
from condsim.errors import CondsimError
from condsim.show.escape import markdown

Show = Callable[[str], None]
"""Makes the trace of a name the current one."""
Keep = Callable[[Path], str]
"""Writes an upload below a folder. Returns its name there; raises CondsimError."""


def uploader(show: Show) -> None:
    """Take a trace from the user. What is wrong with it is said here; the current trace stays."""
    most_mib = upload.LIMIT_BYTES >> 20
    st.file_uploader(
        "A zip of a trace",
        type="zip",
        key="zip",
        max_upload_size=most_mib,
        on_change=_take_zip,
        args=(show,),
    )
    st.file_uploader(
        "Or its folder",
        accept_multiple_files="directory",
        key="folder",
        max_upload_size=most_mib,
        on_change=_take_folder,
        args=(show,),
    )
    st.caption("It stays on this machine, and is forgotten when the app ends.")
    problem = st.session_state.get("upload_problem")
    kept = st.session_state.get("upload_kept")
    if problem:
        st.error(markdown(problem), title="This was not taken")
    elif kept:
        st.success(f"{markdown(kept)} is shown now.")


def _take_zip(show: Show) -> None:
    """Callback: a zip was given, or was removed."""
    packed = st.session_state["zip"]
    if packed is not None:
        _take(lambda folder: upload.keep_zip(packed, packed.name, folder), show)


def _take_folder(show: Show) -> None:
    """Callback: a folder was given, or was removed."""
    files = st.session_state["folder"]
    if files:
        name = next(iter(PurePosixPath(files[0].name).parts), "the folder")
        named = [(file.name, file) for file in files]
        _take(lambda folder: upload.keep_files(named, name, folder), show)


def _take(keep: Keep, show: Show) -> None:
    """Keep an upload and show it, or remember what is wrong with it."""
    st.session_state["upload_problem"] = None
    st.session_state["upload_kept"] = None
    try:
        kept = keep(library.uploads())
    except (CondsimError, OSError) as error:
        st.session_state["upload_problem"] = str(error)
        return
    st.session_state["upload_kept"] = kept
    library.add_upload(kept)
    show(kept)
