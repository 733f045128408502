"""A peer's own environment, made by pip the first time in this user's cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from condsim.errors import CondsimError


@dataclass(frozen=True)
class Peer:
    """A tool on PyPI. worker: our script that asks it, run by its own Python."""

    name: str
    requirement: str
    worker: str

    def answers(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return for each row {"token_s", "seconds"}, or {"refused", "seconds"}.

        Raises CondsimError where it cannot be installed or ends without an answer.
        """
        worker = Path(__file__).with_name(self.worker)
        command = [str(self._python()), str(worker)]
        asked = json.dumps(rows)
        done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
        lines = done.stdout.strip().splitlines()
        if done.returncode or not lines:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise CondsimError(f"{self.requirement} ended without an answer: {said[:300]}")
        found: list[dict[str, Any]] = json.loads(lines[-1])
        return found

    def _python(self) -> Path:
        """Its Python. Raises CondsimError where pip cannot install it."""
        folder = Path(user_cache_dir("condsim")) / "peers" / self.name
        python, complete = folder / "bin" / "python", folder / self.requirement
        if complete.exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)
        command = [str(python), "-m", "pip", "install", "--quiet", self.requirement]
        if made.returncode or subprocess.run(command, check=False).returncode:
            raise CondsimError(f"cannot install {self.requirement} into {folder}")
        complete.touch()
        return python


PEERS = (
    Peer("genz-llm", "genz-llm==0.0.16", "genz_llm.py"),
    Peer("aiconfigurator", "aiconfigurator==0.12.0", "aic.py"),
)
