"""A PyTorch module as a prepared graph of onnxruntime: fixed sizes, one thread, all optimised."""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

QUIET = 3  # errors only
END = "_kernel_time"


class Prepared:
    """A module prepared for inputs of these sizes. Called with arrays, it returns its outputs.

    profile: whether onnxruntime times each of its kernels.
    """

    def __init__(
        self, module: torch.nn.Module, *inputs: torch.Tensor, profile: bool = False
    ) -> None:
        buffer = io.BytesIO()
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(module.eval(), inputs, buffer, dynamo=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = QUIET
        options.enable_profiling = profile
        options.profile_file_prefix = str(Path(tempfile.gettempdir()) / "condsim-kernels")
        self._session = onnxruntime.InferenceSession(
            buffer.getvalue(), options, providers=["CPUExecutionProvider"]
        )
        self._names = [i.name for i in self._session.get_inputs()]

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        inputs = dict(zip(self._names, arrays, strict=True))
        found: list[np.ndarray] = self._session.run(None, inputs)
        return found

    def kernels(self) -> list[tuple[str, list[float]]]:
        """Return (operator, seconds of each run so far) of each kernel, in order.

        It works once, and only for a graph made with `profile`. onnxruntime cuts its times off to
        whole microseconds, so half of one is added.
        """
        file = Path(self._session.end_profiling())
        events = json.loads(file.read_text())
        file.unlink()
        found: dict[str, tuple[str, list[float]]] = {}
        for event in events:
            if event.get("cat") != "Node" or not event["name"].endswith(END):
                continue
            operator = event["args"]["op_name"]
            _, seconds = found.setdefault(event["name"], (operator, []))
            seconds.append((event["dur"] + 0.5) * 1e-6)
        return list(found.values())
