"""Profiles by name, by path, and this machine's own."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from platformdirs import user_cache_dir

from condsim.errors import CondsimError, unknown
from condsim.hardware.machine import fingerprint
from condsim.hardware.profile import HardwareProfile
from condsim.hardware.text import parsed, text_of, validated
from condsim.resources import resource
from condsim.untrusted import check_path

THIS_MACHINE = "this-machine"
REMEMBERED = 64
"""Profiles that were read last, at most."""


def load_profile(path: str | os.PathLike[str]) -> HardwareProfile:
    """Read a profile from YAML; a file that has not changed is parsed once.

    Raises CondsimError: no such file, not YAML, or a field that breaks a rule.
    """
    file = check_path(path, "a profile")
    return _profile(text_of(file), file)


@lru_cache(maxsize=REMEMBERED)
def _profile(text: str, file: Path) -> HardwareProfile:
    """The profile in a text. file: that it is the text of."""
    return validated(HardwareProfile, parsed(text, file), str(file))


def profiles() -> dict[str, Path]:
    """All profiles by name: those that come with condsim, then this user's calibrations."""
    files: dict[str, Path] = {}
    for folder in (resource("hwprofiles"), cache_folder()):
        for file in sorted(folder.glob("*.yaml")):
            files[file.stem] = file
    return files


def readable(files: Iterable[Path]) -> Iterator[HardwareProfile]:
    """Yield the profiles in files; one that cannot be read is left out, with a warning."""
    for file in files:
        try:
            profile = load_profile(file)
        except CondsimError as error:
            warnings.warn(f"left out: {error}", stacklevel=1)
            continue
        yield profile


def hardware(name_or_path: str | os.PathLike[str]) -> HardwareProfile:
    """A profile.

    name_or_path: its name (`condsim profiles`), the path of a YAML file, or "this-machine": the
    calibration of the machine that this runs on. Raises CondsimError for an unknown name (with the
    nearest ones) and for a file that breaks a rule.
    """
    check_path(name_or_path, "a profile")
    text = os.fspath(name_or_path)
    if text == THIS_MACHINE:
        return _calibration_of_this_machine()
    if not isinstance(name_or_path, str) or _is_path(text):
        return load_profile(text)
    known = profiles()
    if text not in known:
        raise unknown("profile", text, [*known, THIS_MACHINE], "condsim profiles lists all")
    return load_profile(known[text])


def _is_path(text: str) -> bool:
    if text.endswith((".yaml", ".yml")):
        return True
    return "/" in text or os.sep in text


def _calibration_of_this_machine() -> HardwareProfile:
    profile = this_machine()
    if profile is None:
        raise CondsimError(
            "this machine has no calibrated profile yet; "
            "`condsim calibrate` (or condsim.calibrate()) makes one"
        )
    return profile


def this_machine(threads: int = 1, dtype: str = "fp32") -> HardwareProfile | None:
    """The newest calibration of this machine for a number of threads and a dtype, or None.

    It is of the installed torch, too. A calibration that cannot be read is left out, with a
    warning.
    """
    this = fingerprint(threads)
    newest_first = sorted(cache_folder().glob("*.yaml"), key=_modified, reverse=True)
    for profile in readable(newest_first):
        if profile.fingerprint == this and profile.dtype == dtype:
            return profile
    return None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # a link that leads nowhere, or a file that was removed meanwhile
        return 0.0


def cache_folder() -> Path:
    """Where calibrations of this user are kept (it may not exist yet)."""
    return Path(user_cache_dir("condsim")) / "profiles"
