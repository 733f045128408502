"""Asks AIConfigurator for the seconds of an output token. Run by its own Python: rows in, answers
out, as JSON. Its tables are NVIDIA's measurements of the same kernels on the same devices.
"""

import contextlib
import io
import json
import logging
import sys
import time

logging.disable(logging.CRITICAL)
with contextlib.redirect_stdout(io.StringIO()):
    from aiconfigurator.cli.api import cli_estimate

MODELS = {"meta-llama/Llama-3.1-70B": "meta-llama/Meta-Llama-3.1-70B"}


def token_s(row):
    """Seconds of an output token. Raises what AIConfigurator raises."""
    experts = "gpt-oss" in row["model_path"]
    narrow = {"gemm_quant_mode": "fp8", "kvcache_quant_mode": "fp8"}
    estimate = cli_estimate(
        MODELS.get(row["model_path"], row["model_path"]),
        row["system"],
        backend_name=row["backend"],
        isl=row["prompt"],
        osl=row["new"],
        batch_size=row["batch"],
        **({"moe_tp_size": 1, "moe_ep_size": 1} if experts else narrow),
    )
    return estimate.tpot * 1e-3


def answers():
    for row in json.load(sys.stdin):
        start = time.perf_counter()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                answer = {"token_s": float(token_s(row))}
        except BaseException as error:  # whatever it refuses with, exits too
            answer = {"refused": f"{type(error).__name__}: {error}"[:200]}
        yield {**answer, "seconds": time.perf_counter() - start}


print(json.dumps(list(answers())))
