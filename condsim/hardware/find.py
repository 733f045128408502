"""Profiles by name, by path, and this machine's own."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_dir

from condsim.errors import CondsimError, unknown
from condsim.hardware.machine import fingerprint
from condsim.hardware.profile import HardwareProfile
from condsim.hardware.text import read, validated
from condsim.resources import resource

THIS_MACHINE = "this-machine"


def load_profile(path: str | os.PathLike[str]) -> HardwareProfile:
    """Read a profile from YAML. Raises CondsimError: no such file, not YAML, or a field that breaks a rule."""
    file = Path(path)
    return validated(HardwareProfile, read(file), str(file))


def profiles() -> dict[str, Path]:
    """All profiles by name: those that come with condsim, then this user's calibrations."""
    found = {p.stem: p for p in sorted(resource("hwprofiles").glob("*.yaml"))}
    return {**found, **{p.stem: p for p in sorted(cache_folder().glob("*.yaml"))}}


def hardware(name_or_path: str | os.PathLike[str]) -> HardwareProfile:
    """A profile by its name (`condsim profiles`), by the path of a YAML file, or "this-machine": the calibration of the machine this runs on.

    Raises CondsimError for an unknown name (with the nearest ones) and for a file that breaks a rule.
    """
    text = os.fspath(name_or_path)
    if text == THIS_MACHINE:
        own = this_machine()
        if own is None:
            raise CondsimError(
                "this machine has no calibrated profile yet; `condsim calibrate` (or condsim.calibrate()) makes one"
            )
        return own
    if (
        not isinstance(name_or_path, str)
        or text.endswith((".yaml", ".yml"))
        or "/" in text
        or os.sep in text
    ):
        return load_profile(text)
    known = profiles()
    if text not in known:
        raise unknown("profile", text, [*known, THIS_MACHINE], "condsim profiles lists all")
    return load_profile(known[text])


def this_machine(threads: int = 1, dtype: str = "fp32") -> HardwareProfile | None:
    """The newest calibration of this machine with so many threads, this dtype and this torch, or None."""
    own = fingerprint(threads)
    for path in sorted(
        cache_folder().glob("*.yaml"), key=lambda p: p.stat().st_mtime, reverse=True
    ):
        try:
            profile = load_profile(path)
        except CondsimError:
            continue
        if profile.fingerprint == own and profile.dtype == dtype:
            return profile
    return None


def cache_folder() -> Path:
    """Where calibrations of this user are kept (it may not exist yet)."""
    return Path(user_cache_dir("condsim")) / "profiles"
