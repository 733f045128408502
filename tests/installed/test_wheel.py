"""The wheel, outside of the repository: what is in it, that it needs what it says, and that its
commands answer."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from installed.environment import Environment

ROOT = Path(__file__).parents[2]
WHERE = (
    "import condsim, condsim.resources as r; "
    "print(condsim.__file__, r.resource('app.py'), r.resource('traces'), sep='\\n')"
)


def test_holds_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("hwprofiles", "traces", ".streamlit"):
        files = {p.relative_to(ROOT).as_posix() for p in (ROOT / kind).rglob("*") if p.is_file()}
        assert {f"condsim/_data/{f}" for f in files} <= set(names), kind
    assert {
        "condsim/_data/app.py",
        "condsim/py.typed",
        "condsim/zoo/checkpoints/moe-bytes.pt",
    } <= set(names)
    assert {n.split("/")[0] for n in names} == {
        "condsim",
        next(n for n in names if n.endswith("/METADATA")).split("/")[0],
    }
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "condsim").rglob("*.py")}
    assert {n for n in names if n.endswith(".py")} == modules | {"condsim/_data/app.py"}


def test_everything_comes_from_it(everything: Environment) -> None:
    done = everything.run(f'pip check\npython -c "{WHERE}"')
    assert done.returncode == 0, done.stdout + done.stderr
    inside = everything.folder / ".venv"
    assert all(Path(line).is_relative_to(inside) for line in done.stdout.splitlines()[1:]), (
        done.stdout
    )


def test_core_simulates_a_shipped_trace(core: Environment) -> None:
    done = core.run(
        "pip check\ncondsim --help\ncondsim profiles\n"
        "condsim simulate exit-fashion --device nvidia-h100-sxm --plot waterfall.svg"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("Usage: condsim COMMAND", "raspberry-pi-5", "where the FLOP saving went"):
        assert words in done.stdout
    assert (core.folder / "waterfall.svg").read_text().startswith("<?xml")
    done = core.run("condsim simulate moe-bytes --device google-tpu-v4 --json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["speedup"] > 0


def test_core_says_which_extra_is_missing(core: Environment) -> None:
    for command, extra in {
        "app": "app",
        "capture moe-bytes -o moe": "capture",
        "calibrate": "capture",
    }.items():
        done = core.run(f"condsim {command}")
        assert done.returncode == 2, command
        assert f"condsim[{extra}]" in done.stderr.splitlines()[-1]


PAGE = """
from streamlit.testing.v1 import AppTest
from condsim.resources import resource
app = AppTest.from_file(resource("app.py"), default_timeout=60)
app.query_params["trace"] = "exit-fashion"
app.run()
assert not app.exception and not app.error, (app.exception, app.error)
print(len(app.metric), "metrics")
"""


def test_the_dashboard_starts_and_answers(everything: Environment) -> None:
    with everything.serving("condsim app --headless") as url:
        assert everything.get(f"{url}/_stcore/health") == "ok"
        assert "<script" in everything.get(url)
        assert not everything.reachable(url.replace("127.0.0.1", "127.0.0.2")), (
            "it must be on 127.0.0.1 only"
        )
    done = everything.run(f"python - <<'END'\n{PAGE}END")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 4
