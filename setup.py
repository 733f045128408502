"""What pyproject.toml cannot say: hwprofiles/ and traces/ stand at the top level of the repository and inside the wheel (condsim/resources.py)."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithData(build_py):
    """Copies the top-level data folders into the package; an editable install reads them where they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for kind in ("hwprofiles", "traces"):
            target = Path(self.build_lib) / "condsim" / "_data" / kind
            shutil.rmtree(target, ignore_errors=True)
            if Path(kind).is_dir():
                shutil.copytree(kind, target)


setup(cmdclass={"build_py": BuildWithData})
