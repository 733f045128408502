"""Asks GenZ for the seconds of an output token.

Run by its own Python: rows in, answers out, as JSON.

The share of a prompt that falls on a decode step is added as for condsim. GenZ has no H200 and no
B200 by name, so they are described to it as its own devices are, by the data sheet.
"""

import contextlib
import io
import json
import sys
import time

with contextlib.redirect_stdout(io.StringIO()):
    from GenZ import decode_moddeling, prefill_moddeling

MODELS = {"meta-llama/Llama-3.1-70B": "meta-llama/Llama-3.1-70B"}
SHEETS = {"h100_sxm": (989, 80, 3350), "h200_sxm": (989, 141, 4800), "b200_sxm": (2250, 180, 8000)}
"""System → (bf16 TFLOP/s, GB, GB/s)."""


def token_s(row):
    """Seconds of an output token.

    Raises what GenZ raises, and KeyError for what it does not have.
    """
    flops, gigabytes, bandwidth = SHEETS[row["system"]]
    device = {"Flops": flops, "Memory_size": gigabytes, "Memory_BW": bandwidth, "ICN": 450}
    asked = {
        "model": MODELS[row["model_path"]],
        "system_name": {**device, "real_values": True},
        "bits": row["precision"],
        "input_tokens": row["prompt"],
    }
    decode = decode_moddeling(batch_size=row["batch"], output_tokens=row["new"] // 2, Bb=1, **asked)
    prompt = prefill_moddeling(batch_size=1, **asked)
    per_token_ms = decode["Latency"] + prompt["Latency"] * row["batch"] / row["new"]
    return per_token_ms * 1e-3


def answers():
    for row in json.load(sys.stdin):
        start = time.perf_counter()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                answer = {"token_s": float(token_s(row))}
        except Exception as error:  # whatever it refuses with
            answer = {"refused": f"{type(error).__name__}: {error}"[:200]}
        yield {**answer, "seconds": time.perf_counter() - start}


print(json.dumps(list(answers())))
