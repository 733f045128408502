"""What makes a machine this machine."""

from __future__ import annotations

import platform
import re
from importlib import metadata
from pathlib import Path

UNDISTURBED = 1.12
"""Nothing disturbs a machine whose yardstick takes up to so many times what it takes at best."""
CPU_INFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def fingerprint(threads: int = 1) -> dict[str, str | int]:
    """CPU model, caches (bytes), threads that are used, and torch version."""
    try:
        torch_version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch_version = "none"
    return {"cpu": _cpu_model(), "threads": threads, **_cache_bytes(), "torch": torch_version}


def _cpu_model() -> str:
    """The model of the CPU, with its family's and its own number where these are known."""
    fields = _cpu_fields()
    model = fields.get("model name") or fields.get("Processor")
    if not model:
        model = platform.processor() or platform.machine()
    numbers = []
    if "cpu family" in fields:
        numbers.append(f"family {fields['cpu family']}")
    if "model" in fields:
        numbers.append(f"model {fields['model']}")
    return f"{model} ({' '.join(numbers)})" if numbers else model


def _cpu_fields() -> dict[str, str]:
    """What Linux says of the first CPU; empty elsewhere."""
    try:
        text = CPU_INFO.read_text()
    except OSError:
        return {}
    fields = {}
    first_cpu, _, _ = text.partition("\n\n")
    for line in first_cpu.splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    return fields


def _cache_bytes() -> dict[str, int]:
    """Level ("l1", "l2", ...) → bytes of the data caches of the first CPU."""
    sizes: dict[str, int] = {}
    for index in sorted(CACHES.glob("index*")):
        try:
            kind = (index / "type").read_text().strip()
            level = (index / "level").read_text().strip()
            size = (index / "size").read_text().strip()
        except OSError:
            continue
        number = re.fullmatch(r"(\d+)([KMG]?)", size)
        if kind != "Instruction" and number:
            count, unit = number.groups()
            sizes[f"l{level}"] = int(count) * UNITS[unit]
    return sizes
