"""Experts that are called with decisions which a module beside them made: their router.

Which of the modules beside them it is shows in the first call, by what it gave. From then on its
result is what it gave then while a dense baseline is in force, so that no router runs there.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from condsim.live.adapters.base import LiveSite
from condsim.live.adapters.structure import instead
from condsim.live.execution import BASELINES, Execution, current
from condsim.live.router_calls import StandIn
from condsim.mechanisms.moe import MixtureOfExperts


class ExpertsBesideRouter(LiveSite):
    """Experts of a live model whose router is one of the modules beside them.

    captured: the strategy that the module itself runs.
    """

    captured = "looped"

    def __init__(self, name: str, block: nn.Module, siblings: list[nn.Module]) -> None:
        """siblings: the modules beside it, one of which may be its router."""
        super().__init__(name, block)
        self.router = None
        self._siblings = siblings
        self._stand_in: StandIn | None = None

    @abstractmethod
    def forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run in place of the experts' own forward."""

    @abstractmethod
    def _saw_call(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Keep in mind a sibling's call whose result may be the decision."""

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(instead(self.block, self.forward))
            if self.router is not None:
                stack.enter_context(instead(self.router, self._router_forward))
            else:
                for sibling in self._siblings:
                    hook = sibling.register_forward_hook(self._saw_call, with_kwargs=True)
                    stack.callback(hook.remove)
            yield

    def _strategy(self, execution: Execution) -> str:
        return execution.asked_strategy(self.name, MixtureOfExperts.name) or self.captured

    def _router_forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The router's result. It does not run while a baseline is in force."""
        execution = current()
        if self._stand_in is not None and self._strategy(execution) in BASELINES:
            with execution.quiet():
                return self._stand_in(args, kwargs)
        return own_forward(*args, **kwargs)
