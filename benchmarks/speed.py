"""How fast condsim itself is: a large trace, one configuration of a shipped trace, and what observing costs. `python benchmarks/speed.py [--json]`

The large trace: a million tokens, 32 layers, top-2 of 64 experts, sequences of 256, replayed at batch 1 in a process of its own, whose peak memory is its own.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim.program import Loop, Op, Scope

TOKENS, LAYERS, EXPERTS, TOP_K, SEQ = 1_000_000, 32, 64, 2, 256
LIMITS = {"grouped": 20.0, "looped": 90.0}


def large_trace(folder: Path) -> None:
    """Programs of a real (small, random) model whose second layer is repeated to that depth, and Zipf-like routing."""
    import torch

    import condsim
    from condsim.trace import Decisions, Trace
    from condsim.trace.encoding import in_memory
    from condsim.zoo.moe_bytes import MoeBytes

    torch.manual_seed(0)
    model = MoeBytes(hidden=32, width=32, heads=2, experts=EXPERTS, layers=2).eval()
    small = condsim.capture(
        model, torch.randint(0, 256, (2, 32)), measure=False, name="million-tokens"
    )
    first, second = small.sites
    sites = [first] + [
        second.model_copy(
            update={"name": at_layer(second.name, i), "stored": at_layer(second.name, i)}
        )
        for i in range(1, LAYERS)
    ]
    units = TOKENS // SEQ
    rng = np.random.default_rng(0)
    popularity = np.arange(1, EXPERTS + 1, dtype=float) ** -0.8
    decisions = {}
    for site in sites:
        edges = np.cumsum(rng.permutation(popularity))
        one, two = np.searchsorted(edges, rng.random((2, units * SEQ)) * edges[-1])
        two = np.where(one == two, (two + 1) % EXPERTS, two)
        decisions[site.name] = Decisions(np.stack([one, two], 1).astype(np.int8))
    steps = pd.DataFrame({"phase": "prefill", "units": [1] * units, "seq": SEQ, "past": 0})
    programs = {
        name: dataclasses.replace(p, root=deepened(p.root)) for name, p in small.programs.items()
    }
    Trace(
        small.header.model_copy(update={"sites": tuple(sites)}),
        steps,
        programs,
        in_memory(decisions),
    ).save(folder)


def opens(folder: Path) -> bool:
    """Whether it is a whole trace of today's format (one that an older condsim left there is not)."""
    import condsim

    try:
        condsim.load(folder)
    except condsim.CondsimError:
        return False
    return True


def at_layer(name: str, layer: int) -> str:
    return name.replace("layers.1.", f"layers.{layer}.")


def deepened(root: Scope) -> Scope:
    """A stream whose second layer stands LAYERS - 1 times (deaths of storages are left out: nothing here asks for memory)."""
    inside = [
        i
        for i, n in enumerate(root.nodes)
        if (n.module if isinstance(n, Op) else n.site).startswith("layers.1")
    ]
    layer = root.nodes[inside[0] : inside[-1] + 1]
    copies = [renamed(n, i) for i in range(1, LAYERS) for n in layer]
    return Scope((*root.nodes[: inside[0]], *copies, *root.nodes[inside[-1] + 1 :]))


def renamed(node: Op | Loop, layer: int) -> Op | Loop:
    if isinstance(node, Loop):
        bodies = {
            k: Scope(tuple(renamed(n, layer) for n in b.nodes)) for k, b in node.bodies.items()
        }
        return Loop(at_layer(node.site, layer), node.choices, bodies)
    inputs = tuple(dataclasses.replace(t, weight=at_layer(t.weight, layer)) for t in node.inputs)
    return dataclasses.replace(
        node,
        inputs=inputs,
        site=at_layer(node.site, layer),
        module=at_layer(node.module, layer),
        role=at_layer(node.role, layer),
    )


def replay(folder: Path, strategy: str) -> dict[str, Any]:
    """Open and simulate; seconds and this process's peak memory."""
    import condsim
    from condsim.hardware import this_machine

    start = time.perf_counter()
    trace = condsim.load(folder)
    opened = time.perf_counter()
    p = condsim.simulate(trace, this_machine(), strategy, 1)
    done = time.perf_counter()
    return {
        "strategy": strategy,
        "open_s": opened - start,
        "simulate_s": done - opened,
        "speedup": p.speedup,
        "steps": len(p.steps),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def warm_configuration(folder: Path) -> float:
    """Median seconds of one configuration that was not asked before, on an opened trace."""
    import condsim
    from condsim.hardware import this_machine

    trace, profile = condsim.load(folder), this_machine()
    condsim.simulate(trace, profile)
    seconds = []
    for batch in (2, 3, 4, 6, 8, 12, 16):
        start = time.perf_counter()
        condsim.simulate(trace, profile, batch=batch)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def observing(name: str, pairs: int = 20) -> tuple[float, float]:
    """(seconds of a plain forward pass, relative overhead of an observed one), medians of interleaved pairs."""
    import torch

    from condsim.live.execution import Execution
    from condsim.live.inputs import as_batches
    from condsim.live.model import LiveModel
    from condsim.zoo import load

    torch.set_num_threads(1)
    example = load(name)
    live, batch = LiveModel.of(example.model), as_batches(example.inputs[0])[0]
    live.run(batch)
    plain, ratio = [], []
    for _ in range(pairs):
        with torch.inference_mode():
            start = time.perf_counter()
            batch.call(example.model)
            plain.append(time.perf_counter() - start)
        run = Execution(observed={})
        with live.prepared(run):
            start = time.perf_counter()
            batch.call(example.model)
            ratio.append((time.perf_counter() - start) / plain[-1])
    return float(np.median(plain)), float(np.median(ratio)) - 1


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "--replay":
        print(json.dumps(replay(Path(sys.argv[2]), sys.argv[3])))
        return
    results: dict[str, Any] = {"large": [], "warm_configuration_s": {}, "observing": {}}
    cache = Path(tempfile.gettempdir()) / "condsim-million-tokens"
    if not opens(cache):
        print("building the large trace (once)", file=sys.stderr)
        shutil.rmtree(cache, ignore_errors=True)
        large_trace(cache)
    for strategy, limit in LIMITS.items():
        out = subprocess.run(
            [sys.executable, __file__, "--replay", str(cache), strategy],
            check=True,
            capture_output=True,
            text=True,
        )
        results["large"].append(json.loads(out.stdout) | {"limit_s": limit, "limit_gib": 2.0})
    for folder in sorted(Path("traces").iterdir()):
        if (folder / "trace.json").exists():
            results["warm_configuration_s"][folder.name] = warm_configuration(folder)
    from condsim.zoo import ZOO

    for name in ZOO:
        plain, overhead = observing(name)
        results["observing"][name] = {"forward_s": plain, "overhead": overhead}
    if "--json" in sys.argv:
        print(json.dumps(results))
        return
    for r in results["large"]:
        print(
            f"million tokens, {r['strategy']:8} {r['simulate_s']:6.1f} s (limit {r['limit_s']:.0f})   {r['peak_gib']:.2f} GiB (limit {r['limit_gib']:.0f})"
        )
    for name, s in results["warm_configuration_s"].items():
        print(f"one configuration, {name:16} {s * 1e3:6.1f} ms (limit 50)")
    for name, o in results["observing"].items():
        print(
            f"observing, {name:16} {o['forward_s'] * 1e3:6.1f} ms a forward pass, {o['overhead']:+.1%} (limit +10 %)"
        )


if __name__ == "__main__":
    main()
