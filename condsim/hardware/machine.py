"""What makes a machine this machine."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

UNDISTURBED = 1.12  # nothing disturbs a machine whose yardstick takes up to so many times what it takes at best


def fingerprint(threads: int = 1) -> dict[str, str | int]:
    """What makes this machine this machine: CPU model, caches (bytes), threads used, torch version."""
    found: dict[str, str | int] = {"cpu": _cpu_model(), "threads": threads}
    for level, size in _caches().items():
        found[level] = size
    try:
        found["torch"] = metadata.version("torch")
    except metadata.PackageNotFoundError:
        found["torch"] = "none"
    return found


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    fields = {}
    for line in text.split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    model = fields.get("model name") or fields.get("Processor")
    if not model:
        import platform

        model = platform.processor() or platform.machine()
    numbers = " ".join(
        f"{short} {fields[key]}"
        for key, short in (("cpu family", "family"), ("model", "model"))
        if key in fields
    )
    return f"{model} ({numbers})" if numbers else model


def _caches() -> dict[str, int]:
    """Level name ("l1", "l2", ...) → bytes of the data caches of the first CPU."""
    found: dict[str, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((index / f).read_text().strip() for f in ("type", "level", "size"))
        except OSError:
            continue
        number = re.fullmatch(r"(\d+)([KMG]?)", size)
        if kind != "Instruction" and number:
            found[f"l{level}"] = (
                int(number[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[number[2]]
            )
    return found
