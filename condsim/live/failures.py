"""What a model's own code raises while it is captured, as one line that names the module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn

from condsim.errors import CondsimError, summary


class ModelFails(CondsimError):
    """What a model's own code raised, in one line."""


@contextlib.contextmanager
def one_line(model: nn.Module, what: str, way_out: str) -> Iterator[None]:
    """Raise what fails inside as a ModelFails, with the error that it was as its cause.

    what: what runs inside. way_out: what a user can do about it.
    """
    try:
        yield
    except CondsimError:
        raise
    except Exception as error:
        where = module_that_failed(model, error) or "the model"
        raise ModelFails(f"{where}: {what} fails ({summary(error)}); {way_out}") from error


def module_that_failed(model: nn.Module, error: Exception) -> str:
    """The path of the innermost module of the model that was running; "" for none."""
    paths = {id(module): path for path, module in model.named_modules()}
    where = ""
    traceback = error.__traceback__
    while traceback is not None:
        running = traceback.tb_frame.f_locals.get("self")
        where = paths.get(id(running), "") or where
        traceback = traceback.tb_next
    return where
