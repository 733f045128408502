"""Tokens over plain links: one copy a distinct rank, and `start + bytes / bandwidth`."""

from __future__ import annotations

import numpy as np

from condsim.parallel.exchange import EXCHANGES, Exchange, Sent, all_to_all_seconds
from condsim.parallel.fabric import Fabric


class Links(Exchange):
    name = "links"

    def seconds(self, sent: Sent, phase: str, fabric: Fabric) -> np.ndarray:
        return all_to_all_seconds(sent.copies, sent.token_bytes, fabric)


EXCHANGES.register(Links.name)(Links())
