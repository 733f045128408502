"""The tables: `aiconfigurator-core` 0.12.0 on PyPI (NVIDIA, Apache-2.0) has millions of measured
mixture-of-experts layers. Data to check against.

It is fetched once, by pip, into this user's cache; it is no dependency.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
from platformdirs import user_cache_dir

from condsim.errors import CondsimError

REQUIREMENT = "aiconfigurator-core==0.12.0"
SHA256 = "aadc4aad0a00bf8a61c477c62bef43de479849c3aa0b1c3078068e08309eccc4"
INSIDE = "aiconfigurator_core/systems/data"


def wheel() -> Path:
    """The wheel, fetched if it is not there.

    Raises CondsimError where pip cannot fetch it, or it is not the file that was read before.
    """
    folder = Path(user_cache_dir("condsim")) / "gpu-tables"
    found = next(folder.glob("aiconfigurator_core-0.12.0-*.whl"), None)
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--dest",
            str(folder),
            REQUIREMENT,
        ]
        if (
            subprocess.run(command, check=False).returncode
            or (found := next(folder.glob("aiconfigurator_core-0.12.0-*.whl"), None)) is None
        ):
            raise CondsimError(
                f"cannot fetch {REQUIREMENT}; "
                f"on a machine without a network, put its wheel into {folder}"
            )
    if hashlib.sha256(found.read_bytes()).hexdigest() != SHA256:
        raise CondsimError(
            f"{found} is not the wheel these tables were read from; delete it to fetch it anew"
        )
    return found


def table(system: str, engine: str, version: str, kind: str = "moe") -> pd.DataFrame:
    """All rows of a system ("h100_sxm"), engine ("vllm", "sglang", "trtllm") and version.

    Raises CondsimError where the wheel has none.
    """
    with zipfile.ZipFile(wheel()) as archive:
        name = f"{INSIDE}/{system}/{kind}/{engine}/{version}/{kind}_perf.parquet"
        if name not in archive.namelist():
            known = sorted(
                "/".join(n.split("/")[3:-1]).replace(f"/{kind}/", "/")
                for n in archive.namelist()
                if n.endswith(f"/{kind}_perf.parquet")
            )
            raise CondsimError(
                f"the wheel has no {kind} table {system}/{engine}/{version}; "
                f"it has {', '.join(known)}"
            )
        return pd.read_parquet(io.BytesIO(archive.read(name)))
