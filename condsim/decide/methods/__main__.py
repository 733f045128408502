"""`python -m condsim.decide.methods [NAME ...] --folder FOLDER`: train gates by several methods."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from condsim.decide.methods.run import train_all
from condsim.errors import CondsimError
from condsim.zoo.methods.base import METHODS


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 and one line for bad input."""
    given = parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    try:
        train_all(given.names or METHODS, given.steps, given.seed).save(given.folder)
    except CondsimError as error:
        print(error, file=sys.stderr)
        return 2
    print(given.folder)
    return 0


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    command = argparse.ArgumentParser(
        prog="python -m condsim.decide.methods", description="Train gates by several methods."
    )
    command.add_argument("names", nargs="*", help=f"default: all of {', '.join(METHODS)}")
    command.add_argument("--steps", type=int, help="default: as many as the method says")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--threads", type=int, default=1)
    command.add_argument("--folder", type=Path, required=True, help="where the tables go")
    return command


if __name__ == "__main__":
    sys.exit(main())
