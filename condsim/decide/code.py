"""Which code an answer is from."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import condsim


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return what stands for all of condsim's Python code, as hexadecimal text."""
    digest = hashlib.sha256()
    package = Path(condsim.__file__).parent
    for file in sorted(package.rglob("*.py")):
        digest.update(str(file.relative_to(package)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
