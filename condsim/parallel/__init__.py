"""Models spread over devices: placements of experts, rows dealt to ranks, links, and who waits.

Nothing here prices an operator: `condsim.predict.ranks` joins it with the device models.
"""

from __future__ import annotations

import condsim.parallel.exchanges
import condsim.parallel.placements  # noqa: F401 - registers them
from condsim.parallel.parallel import Parallel

__all__ = ["Parallel"]
