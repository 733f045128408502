"""What hears operators: nothing more is imported for it."""

from __future__ import annotations

import subprocess
import sys

RECORDS = """
import sys
import torch
from condsim.record.recorder import Recorder

model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
with torch.inference_mode(), Recorder(model) as recorder:
    model(torch.ones(2, 4))
print(len(recorder.events) > 0, *{"torch._dynamo", "sympy"} & sys.modules.keys())
"""


def test_recording_imports_no_compiler() -> None:
    """Each of these takes seconds to import, in every process that records."""
    done = subprocess.run([sys.executable, "-c", RECORDS], capture_output=True, text=True)
    assert done.stdout.split() == ["True"], done.stderr
