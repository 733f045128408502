"""How operators become kernels.

A runtime rewrites a program before it is lowered: operators that it joins become one. The device
is the same whatever the runtime, so nothing here knows seconds.
"""

from condsim.runtimes.runtime import RUNTIMES, Runtime, choose_runtime, runtimes_of

__all__ = ["RUNTIMES", "Runtime", "choose_runtime", "runtimes_of"]
