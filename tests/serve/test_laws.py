"""What every queue obeys, and what theory says of the simplest ones.

The loop equals the recursions of Lindley and of Kiefer and Wolfowitz on every request; the
recursions, which NumPy runs for millions of requests, equal theory within 1 %.
"""

from __future__ import annotations

import numpy as np
import pytest
from serve.runs import Costs, Served, arriving, serve_samples, serve_text

from condsim.serve.book import FORMING
from condsim.serve.requests import Lengths, poisson
from condsim.serve.service import Service

ONE_BY_ONE = Service("dynamic", max_batch=1)
MANY = 4_000_000
SOME = 20_000


def exponential(rng: np.random.Generator, mean: float, count: int) -> np.ndarray:
    return rng.exponential(mean, count)


def lindley(arrivals: np.ndarray, services: np.ndarray) -> np.ndarray:
    """Seconds that each request waits for a single server, first come first served."""
    walk = np.concatenate([[0.0], np.cumsum(services[:-1] - np.diff(arrivals))])
    return walk - np.minimum.accumulate(walk)


def fixed_service(arrivals: np.ndarray, service: float, servers: int) -> np.ndarray:
    """The same for several servers that always take as long: they serve in turn."""
    waits = np.empty(len(arrivals))
    for first in range(servers):
        of_server = arrivals[first::servers]
        waits[first::servers] = lindley(of_server, np.full(len(of_server), service))
    return waits


def md_wait(load: float, servers: int) -> float:
    """Mean wait of M/D/c in units of the service time, `load` a server.

    In one service time everyone who was in service leaves: X' = max(X - c, 0) + Poisson.
    """
    rate, most = load * servers, 400
    numbers = np.arange(most)
    arrive = np.exp(numbers * np.log(rate) - rate - np.cumsum(np.log(np.maximum(numbers, 1))))
    share = np.zeros(most)
    share[0] = 1.0
    for _ in range(3000):
        rest = np.concatenate([[share[: servers + 1].sum()], share[servers + 1 :]])
        share = np.convolve(rest, arrive)[:most]
        share /= share.sum()
    return float(share @ numbers) / rate - 1


def one_server(services: np.ndarray, arrivals: np.ndarray) -> Served:
    costs = Costs(lambda _stage, requests: float(services[requests[0]]))
    return serve_samples(arriving(arrivals), ONE_BY_ONE, costs)


def test_one_server_follows_lindley() -> None:
    rng = np.random.default_rng(0)
    arrivals = np.cumsum(exponential(rng, 1.0, SOME))
    services = exponential(rng, 0.8, SOME)
    served = one_server(services, arrivals)
    np.testing.assert_allclose(served.wait, lindley(arrivals, services), atol=1e-9)


@pytest.mark.parametrize("servers", [1, 2, 5])
def test_several_servers_of_fixed_service_follow_kiefer_wolfowitz(servers: int) -> None:
    rng = np.random.default_rng(servers)
    arrivals = np.cumsum(exponential(rng, 1 / (0.8 * servers), SOME))
    service = Service("dynamic", max_batch=1, replicas=servers)
    served = serve_samples(arriving(arrivals), service, Costs(lambda *_: 1.0))
    np.testing.assert_allclose(served.wait, fixed_service(arrivals, 1.0, servers), atol=1e-9)


def test_waiting_for_one_random_server_is_within_one_percent_of_theory() -> None:
    rng, load = np.random.default_rng(7), 0.5
    arrivals = np.cumsum(exponential(rng, 1.0, MANY))
    wait = lindley(arrivals, exponential(rng, load, MANY)).mean()
    assert wait == pytest.approx(load * load / (1 - load), rel=0.01)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (2, 0.6), (4, 0.7)])
def test_waiting_for_fixed_servers_is_within_one_percent_of_theory(
    servers: int, load: float
) -> None:
    rng = np.random.default_rng(servers)
    arrivals = np.cumsum(exponential(rng, 1 / (load * servers), MANY))
    assert fixed_service(arrivals, 1.0, servers).mean() == pytest.approx(
        md_wait(load, servers), rel=0.01
    )


def test_theory_of_one_fixed_server_is_pollaczek_and_khinchine() -> None:
    assert md_wait(0.5, 1) == pytest.approx(0.5 / (2 * (1 - 0.5)), rel=1e-6)


@pytest.mark.slow
def test_the_loop_itself_is_within_one_percent_of_theory() -> None:
    rng, load, count = np.random.default_rng(1), 0.5, 1_500_000
    arrivals = np.cumsum(exponential(rng, 1.0, count))
    served = one_server(exponential(rng, load, count), arrivals)
    assert served.wait.mean() == pytest.approx(load * load / (1 - load), rel=0.01)


def depths(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(1, 5, count)


def staged(count: int) -> Costs:
    return Costs(
        lambda _stage, requests: 0.2 + 0.05 * len(requests), depths(count), 4, regroup_s=0.01
    )


EXITS = ["leave", "wait", "regroup"]


@pytest.mark.parametrize("exits", EXITS)
@pytest.mark.parametrize("dispatch", ["shared", "round-robin", "least-loaded"])
def test_samples_are_all_served_and_their_time_is_accounted_for(exits: str, dispatch: str) -> None:
    requests = poisson(5.0, 2000, seed=1)
    service = Service(
        "dynamic", max_batch=6, max_wait_s=0.1, exits=exits, dispatch=dispatch, replicas=2
    )
    served = serve_samples(requests, service, staged(len(requests)))
    assert np.isfinite(served.finished).all()
    assert all(replica.load == 0 for replica in served.fleet.replicas)
    total = sum(served.book.waited_s.values())
    assert total == pytest.approx(served.latency.sum(), rel=1e-9)


@pytest.mark.parametrize("exits", ["leave", "wait"])
def test_littles_law(exits: str) -> None:
    """The mean number of requests is the rate times the mean latency, to the last digit: the queue
    is empty at both ends."""
    requests = poisson(5.0, 2000, seed=2)
    service = Service("dynamic", max_batch=6, exits=exits)
    served = serve_samples(requests, service, staged(len(requests)))
    in_system = served.book.waiting.integral + served.book.running.integral
    assert in_system == pytest.approx(served.latency.sum(), rel=1e-9)


@pytest.mark.parametrize("replicas", [1, 3])
def test_no_replica_is_idle_while_a_request_waits(replicas: int) -> None:
    requests = poisson(3.0 * replicas, 2000, seed=3)
    service = Service("dynamic", max_batch=4, replicas=replicas)
    served = serve_samples(requests, service, Costs(lambda _s, rows: 0.5 + 0.1 * len(rows)))
    assert served.book.waited_s[FORMING] == 0
    idle_from = dict.fromkeys(range(replicas), 0.0)
    for step in sorted(served.book.kept, key=lambda step: step.start_s):
        begins = requests.arrival_s[served.started == step.start_s]
        waited = (begins < step.start_s - 1e-12).any()
        assert not waited or idle_from[step.replica] == pytest.approx(step.start_s)
        idle_from[step.replica] = step.start_s + step.seconds


def test_first_come_is_first_served() -> None:
    requests = poisson(8.0, 2000, seed=4)
    service = Service("dynamic", max_batch=4, replicas=2)
    served = serve_samples(requests, service, Costs(lambda _s, rows: 0.5 + 0.1 * len(rows)))
    assert (np.diff(served.started) >= 0).all()


def test_a_full_batch_starts_at_once_and_a_lonely_request_after_its_wait() -> None:
    service = Service("dynamic", max_batch=2, max_wait_s=0.5)
    served = serve_samples(arriving([0.0, 0.1, 5.0]), service, Costs(lambda *_: 1.0))
    assert served.started.tolist() == [0.1, 0.1, 5.5]


def test_a_static_batch_waits_until_it_is_full() -> None:
    served = serve_samples(
        arriving([0.0, 1.0, 4.0, 5.0, 6.0]), Service("static", max_batch=2), Costs(lambda *_: 1.0)
    )
    assert served.started.tolist() == [1.0, 1.0, 5.0, 5.0, 6.0]


def test_those_who_leave_early_answer_early() -> None:
    """Two samples leave after stage 1 and one runs all three; a stage takes a second."""
    costs = Costs(lambda *_: 1.0, [1, 3, 1], stages=3)
    finished = {
        exits: serve_samples(
            arriving([0.0, 0.0, 0.0]), Service("dynamic", exits=exits), costs
        ).finished.tolist()
        for exits in ("leave", "wait")
    }
    assert finished == {"leave": [1.0, 3.0, 1.0], "wait": [3.0, 3.0, 3.0]}


def test_what_is_left_of_two_batches_runs_together() -> None:
    """Of each of two batches of 2, one goes on.

    A stage costs a second whatever its rows: alone they would take 4 s, regrouped 3 s and the
    regrouping.
    """
    costs = Costs(lambda *_: 1.0, [1, 2, 1, 2], stages=2, regroup_s=0.25)
    arrivals = arriving([0.0, 0.0, 0.0, 0.0])
    regrouped = serve_samples(arrivals, Service("dynamic", max_batch=2, exits="regroup"), costs)
    assert regrouped.finished.tolist() == [1.0, 3.25, 2.0, 3.25]
    dear = Costs(lambda *_: 1.0, [1, 2, 1, 2], stages=2, regroup_s=0.75)
    alone = serve_samples(arrivals, Service("dynamic", max_batch=2, exits="regroup"), dear)
    assert alone.finished.tolist() == [1.0, 2.0, 3.0, 4.0]


TEXTS = poisson(6.0, 400, Lengths(1, 60), Lengths(1, 40), seed=5)


@pytest.mark.parametrize("scheduler", ["chunked", "ahead", "continuous", "static"])
@pytest.mark.parametrize("kv_tokens", [None, 256])
def test_texts_are_all_served_and_their_time_is_accounted_for(
    scheduler: str, kv_tokens: int | None
) -> None:
    service = Service(scheduler, max_batch=8, token_budget=32, kv_tokens=kv_tokens, replicas=2)
    served = serve_text(TEXTS, service)
    assert np.isfinite(served.finished).all()
    assert [replica.load for replica in served.fleet.replicas] == [0, 0]
    assert [replica.memory.used for replica in served.fleet.replicas] == [0, 0]
    total = sum(served.book.waited_s.values())
    assert total == pytest.approx(served.latency.sum(), rel=1e-9)
    if scheduler == "chunked" and kv_tokens:
        assert sum(served.book.preemptions) > 0
    if scheduler == "static":
        assert sum(served.book.preemptions) == 0
