"""How to measure the same quantity."""

from __future__ import annotations

import shlex

from condsim.decide.subject import Subject, TraceSubject
from condsim.hardware import HardwareProfile, this_machine
from condsim.predict.prediction import Prediction

DEVICE_BY_DEFAULT = "cpu"
"""What `condsim measure` times without `--device`."""


def verify(subject: Subject, where: str, profile: HardwareProfile, now: Prediction) -> list[str]:
    """Return the commands that measure what was predicted, and where they must run.

    where: folder or name of the trace. A line that begins with # is no command.
    """
    if not isinstance(subject, TraceSubject):
        return [
            f"# condsim measures captured models: capture {subject.name} on the device "
            "(condsim.capture), then condsim measure"
        ]
    torch_device = profile.device_class.torch_device
    if not torch_device:
        return [f"# condsim cannot time a {profile.kind}: time both models there yourself"]
    words = ["condsim", "measure", where, "--strategy", now.strategy, "--batch", str(now.batch)]
    words += ["--protocol", now.protocol]
    if now.runtime != "eager":
        words += ["--runtime", now.runtime]
    if torch_device != DEVICE_BY_DEFAULT:
        words += ["--device", torch_device]
    lines = [shlex.join(words), shlex.join(["condsim", "compare", where])]
    local = this_machine(dtype=subject.captured.dtype)
    here = local is not None and local.fingerprint == profile.fingerprint
    return lines if here else [f"# on {profile.name}:", *lines]
