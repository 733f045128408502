"""An environment as a user's: a wheel that was built from this repository, and what that wheel
asks for, nothing else.

Packages that it depends on are not fetched again: folders of links to those that are installed
here, one for each extra, stand on PYTHONPATH. They hold what the wheel's own metadata name, and
what that needs in turn, so that a dependency which nobody declared is missing here as it would be
elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

INTERPRETERS = Path(sys.base_prefix) / "bin"


@dataclass(frozen=True)
class Environment:
    """folder: where commands run, outside of the repository.

    needs: what stands on PYTHONPATH. bin: programs of its virtual environment, once there is one.
    """

    folder: Path
    needs: Path
    bin: Path

    @property
    def variables(self) -> dict[str, str]:
        """Those of this process without anything that leads back to the repository.

        pip asks no index: all that it needs is there.
        """
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("PYTHON", "PYTEST", "VIRTUAL_ENV", "CONDSIM", "STREAMLIT"))
        }
        return kept | {
            "PATH": f"{self.bin}:{INTERPRETERS}:/usr/bin:/bin",
            "PYTHONPATH": str(self.needs),
            "PIP_NO_INDEX": "1",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "160",
        }

    def run(self, script: str, timeout_s: float = 900) -> subprocess.CompletedProcess[str]:
        """Run a bash script. It ends at the first command that fails, and stderr says which."""
        shell = ["bash", "--norc", "-exo", "pipefail", "-c", script]
        return subprocess.run(
            shell,
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    @contextlib.contextmanager
    def serving(self, command: str, timeout_s: float = 300) -> Iterator[str]:
        """The address that a command serves, while it serves it."""
        log = self.folder / "server.log"
        with (
            log.open("w") as out,
            subprocess.Popen(
                shlex.split(command), cwd=self.folder, env=self.variables, stdout=out, stderr=out
            ) as server,
        ):
            try:
                end = time.monotonic() + timeout_s
                while not (
                    (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()))
                    and self.reachable(found[0])
                ):
                    assert server.poll() is None, log.read_text()
                    assert time.monotonic() < end, log.read_text()
                    time.sleep(0.2)
                yield found[0]
            finally:
                server.terminate()

    @staticmethod
    def get(url: str) -> str:
        """A page. Raises OSError where nothing answers."""
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode())

    @staticmethod
    def reachable(url: str) -> bool:
        """Whether anything listens there."""
        address = urllib.parse.urlsplit(url)
        try:
            socket.create_connection((address.hostname, address.port), timeout=5).close()
        except OSError:
            return False
        return True


def link_needs(wheel: Path, extras: Iterable[str], folder: Path) -> Path:
    """Fill `folder` with links to all that the wheel with these extras asks for.

    It must be called site-packages: Streamlit develops itself elsewhere.
    """
    metadata = next(p for p in zipfile.Path(wheel).iterdir() if p.name.endswith(".dist-info"))
    folder.mkdir()
    for needed in closure(PathDistribution(metadata), set(extras)):
        for top in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(needed.locate_file(top))))
    return folder


def closure(root: Distribution, extras: set[str]) -> list[Distribution]:
    """What `root` with these extras needs, in turn, without itself."""
    seen: dict[tuple[str, str], Distribution] = {}
    todo = [(root, extra) for extra in ("", *extras)]
    while todo:
        dist, extra = todo.pop()
        for need in needs(dist, extra):
            found = root if need.name == root.metadata["Name"] else distribution(need.name)
            for wanted in ("", *need.extras):
                if (found.metadata["Name"], wanted) not in seen:
                    seen[found.metadata["Name"], wanted] = found
                    todo.append((found, wanted))
    return list({d.metadata["Name"]: d for d in seen.values() if d is not root}.values())


def needs(dist: Distribution, extra: str) -> Iterator[Requirement]:
    """What a distribution asks for under one extra ("": under none)."""
    for text in dist.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement
