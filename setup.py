"""What pyproject.toml cannot say: where the data and app.py stand.

They stand at the top level of the repository, and inside the package in a wheel
(condsim/resources.py).
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithData(build_py):
    """Copies the top-level data and app.py into the package.

    An editable install reads them where they are.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        data = Path(self.build_lib) / "condsim" / "_data"
        shutil.rmtree(data, ignore_errors=True)
        for kind in ("hwprofiles", "traces", ".streamlit"):
            shutil.copytree(kind, data / kind)
        shutil.copy("app.py", data)


setup(cmdclass={"build_py": BuildWithData})
