"""What a first question about a model by name needs, imported while the page before it is read."""

from __future__ import annotations

import contextlib
import importlib
import threading

import streamlit as st

NEEDED = (
    "torch",
    "transformers.modeling_utils",
    "transformers.generation.utils",
    "transformers.models.auto.modeling_auto",
    "condsim.capture.on_meta",
)
"""Modules that recording a model imports: about three seconds."""


@st.cache_resource(show_spinner=False)
def begin() -> threading.Thread:
    """Begin to import them beside everything else, once a server."""
    thread = threading.Thread(target=import_them, name="warm-up", daemon=True)
    thread.start()
    return thread


def import_them() -> None:
    """Import what is installed; a question says what is missing."""
    with contextlib.suppress(ImportError):
        for name in NEEDED:
            importlib.import_module(name)
