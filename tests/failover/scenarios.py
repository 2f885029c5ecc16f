"""The scenarios: what happens to the cluster, and what is expected of the services."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from clients import Load
from cluster import TTL, Cluster, Node
from history import Attempt
from libpq import LibpqWriter
from measure import outage, successes
from processes import wait_for
from proxy import Proxy
from services import Service, make_services

# Goals in seconds: until writes are back after a node was lost or frozen, and after any other fault
# or its end; after a postmaster was lost, and after a switchover; and later than with libpq alone.
AFTER_NODE, AFTER_POSTMASTER, AFTER_LIBPQ = TTL + 10, 5, 3
# How long reads may be away while commits wait, which is longer.
READS = 5


@dataclass
class Setup:
    """What a scenario works with."""

    cluster: Cluster
    services: list[Service]
    load: Load
    libpq: LibpqWriter
    proxies: list[Proxy] = field(default_factory=list)
    # When the fault began, and what the goals count from: the fault, or the end of a longer one.
    fault_at: float = 0
    count_from: float = 0
    killed_service: str | None = None

    def mark_fault(self):
        self.fault_at = self.count_from = time.monotonic()

    def mark_end_of_fault(self):
        self.count_from = time.monotonic()

    def wait_for_leader_other_than(self, node: Node):
        wait_for(lambda: self.cluster.leader() not in (None, node), "another node is the leader")

    def wait_until_steady(self):
        """Waits until both services and libpq write without a failure for two seconds, or a minute."""
        begin = time.monotonic()
        while time.monotonic() < begin + 60:
            time.sleep(0.25)
            since = max(begin, time.monotonic() - 2)
            if time.monotonic() > begin + 2 and self.is_steady(since):
                return

    def is_steady(self, since: float) -> bool:
        recent = [attempt for attempt in self.load.history[-5000:] if attempt.end > since]
        return (
            any(written > time.monotonic() - 0.5 for written in self.libpq.written[-1:])
            and not any(attempt.is_failed for attempt in recent)
            and all(
                sum(a.service == service.name and a.is_write and a.is_ok for a in recent) > 5
                for service in self.services
            )
        )


@dataclass
class Scenario:
    name: str
    description: str
    run: Callable[[Setup], None]
    # The goal for writes, counted from the fault, or from its end if the scenario ends it.
    writes_within: float
    # The goal for reads, if they do not need a new leader.
    reads_within: float | None = None
    # Which node is the leader at the beginning, if that matters: one of the order in the addresses.
    leader: int | None = None
    # Whether the services connect through proxies that drop packets.
    is_proxied: bool = False
    # Whether acknowledged changes are lost on purpose, which the checker must report.
    is_mutation: bool = False


def kill_node(setup: Setup):
    node = setup.cluster.leader()
    setup.mark_fault()
    node.kill()
    setup.wait_for_leader_other_than(node)


def drop_packets(setup: Setup):
    node = setup.cluster.leader()
    proxy = setup.proxies[setup.cluster.nodes.index(node)]
    setup.mark_fault()
    proxy.drop()
    node.kill()
    setup.wait_for_leader_other_than(node)
    setup.wait_until_steady()
    proxy.restore()


def kill_postmaster(setup: Setup):
    node = setup.cluster.leader()
    setup.mark_fault()
    node.kill_postmaster()


def switch_over(setup: Setup):
    [standby] = setup.cluster.synchronous_standbys()
    setup.mark_fault()
    setup.cluster.switch_over(standby)


def freeze_busy_node(setup: Setup):
    setup.load.burst(64, seconds=2)
    time.sleep(1)
    freeze_node(setup)


def freeze_idle_node(setup: Setup):
    setup.load.pause()
    time.sleep(2)
    freeze_node(setup, setup.load.resume)


def freeze_node(setup: Setup, then: Callable[[], None] = lambda: None):
    node = setup.cluster.leader()
    setup.mark_fault()
    node.freeze()
    then()
    setup.wait_for_leader_other_than(node)
    setup.wait_until_steady()
    node.thaw()
    time.sleep(3)


def freeze_patroni(setup: Setup):
    node = setup.cluster.leader()
    setup.mark_fault()
    node.freeze_patroni()
    setup.wait_for_leader_other_than(node)
    # Now two nodes are writable, and only one of them can commit.
    time.sleep(12)
    setup.mark_end_of_fault()
    node.thaw()


def lose_standbys_in_strict_mode(setup: Setup):
    setup.cluster.configure(synchronous_mode_strict=True)
    time.sleep(3)
    standbys = setup.cluster.standbys()
    setup.mark_fault()
    for node in standbys:
        node.kill()
    time.sleep(8)
    for node in standbys:
        node.start()
    setup.mark_end_of_fault()
    setup.cluster.wait_until_complete()


def lose_standbys(setup: Setup):
    standbys = setup.cluster.standbys()
    setup.mark_fault()
    for node in standbys:
        node.kill()


def lose_etcd(setup: Setup):
    setup.mark_fault()
    setup.cluster.etcd.kill()
    wait_for(lambda: setup.cluster.leader() is None, "the leader is demoted")
    time.sleep(2)
    setup.cluster.etcd.start()
    wait_for(lambda: setup.cluster.leader() is not None, "a node is the leader")
    setup.mark_end_of_fault()


def kill_all_nodes(setup: Setup):
    setup.mark_fault()
    for node in setup.cluster.nodes:
        node.kill()
    time.sleep(3)
    for node in setup.cluster.nodes:
        node.start()
    wait_for(lambda: setup.cluster.leader() is not None, "a node is the leader")
    setup.mark_end_of_fault()


def kill_service(setup: Setup):
    node, service = setup.cluster.leader(), setup.services[0]
    setup.mark_fault()
    setup.killed_service = service.name
    node.kill()
    time.sleep(2)
    service.kill()
    setup.wait_for_leader_other_than(node)
    service.start()
    setup.mark_end_of_fault()


def lose_changes(setup: Setup):
    setup.cluster.configure(synchronous_mode=False)
    setup.cluster.wait_until_complete(synchronous=False)
    node = setup.cluster.leader()
    node.freeze_senders()
    time.sleep(2)
    setup.mark_fault()
    node.kill()
    setup.wait_for_leader_other_than(node)


SCENARIOS = [
    Scenario("kill", "the leader's node is killed", kill_node, AFTER_NODE),
    Scenario(
        "drop", "the leader's node is killed, packets are dropped", drop_packets, AFTER_NODE, leader=0, is_proxied=True
    ),
    Scenario("postmaster", "the leader's postmaster is killed", kill_postmaster, AFTER_POSTMASTER),
    Scenario("switchover", "another node becomes the leader", switch_over, AFTER_POSTMASTER),
    Scenario("freeze", "the leader's node is frozen, all connections are busy", freeze_busy_node, AFTER_NODE, leader=0),
    Scenario(
        "freeze-idle", "the leader's node is frozen, all connections are idle", freeze_idle_node, AFTER_NODE, leader=0
    ),
    Scenario("patroni", "the Patroni of the first host is frozen", freeze_patroni, AFTER_NODE, leader=0),
    Scenario("patroni-last", "the Patroni of the last host is frozen", freeze_patroni, AFTER_NODE, leader=2),
    Scenario("strict", "both standbys are lost in strict mode", lose_standbys_in_strict_mode, AFTER_NODE, READS),
    Scenario("standbys", "both standbys are lost", lose_standbys, AFTER_NODE, READS),
    Scenario("etcd", "etcd is lost", lose_etcd, AFTER_NODE),
    Scenario("all", "all nodes are killed", kill_all_nodes, AFTER_NODE),
    Scenario("service", "the leader's node is killed, then a service", kill_service, AFTER_NODE),
    Scenario("mutation", "synchronous mode is off, a standby lags", lose_changes, AFTER_NODE, is_mutation=True),
]


@dataclass
class Result:
    """What a scenario measured. Goals that are missed are texts."""

    scenario: Scenario
    writes: list[float]
    libpq_writes: float
    reads: list[float]
    failed_after: list[Attempt]
    missed: list[str] = field(default_factory=list)


def play(scenario: Scenario, cluster: Cluster, services: list[Service], history: list[Attempt]) -> Result:
    """Plays a scenario, repairs the cluster, and compares what was measured with the goals."""
    if scenario.leader is not None:
        cluster.make_leader(cluster.nodes[scenario.leader])
    with ExitStack() as stack:
        proxies, ports = [], cluster.ports
        if scenario.is_proxied:
            proxies = [Proxy(port) for port in ports]
            for proxy in proxies:
                stack.callback(proxy.close)
            ports = [proxy.port for proxy in proxies]
        if scenario.is_proxied or scenario.is_mutation:
            database = "mutation" if scenario.is_mutation else "orders"
            services = make_services(cluster, ports, database, f"{scenario.name}-")
            for service in services:
                service.start()
                stack.callback(service.kill)
        libpq = stack.enter_context(LibpqWriter(cluster.superuser_address(ports, "postgres")))
        load = stack.enter_context(Load(services, history, scenario.name))
        setup = Setup(cluster, services, load, libpq, proxies)
        time.sleep(2)
        scenario.run(setup)
        setup.wait_until_steady()
        result = measure(scenario, setup, time.monotonic())
        cluster.repair()
        time.sleep(1)
    return result


def measure(scenario: Scenario, setup: Setup, until: float) -> Result:
    history, fault_at = setup.load.history, setup.fault_at
    libpq = outage(setup.libpq.written, fault_at, until)
    # It may have recovered from a failure without an outage.
    libpq.end = max([libpq.end, *(time for time in setup.libpq.recovered if fault_at < time < until)])
    names = [service.name for service in setup.services]
    writes = [outage(successes(history, name, is_write=True), fault_at, until) for name in names]
    reads = [outage(successes(history, name, is_write=False), fault_at, until) for name in names]
    # A service that was killed is there when the fault has ended.
    since = {name: setup.count_from if name == setup.killed_service else libpq.end for name in names}
    failed = [a for a in history if a.is_failed and since.get(a.service, until) < a.begin < until]
    result = Result(scenario, [w.length for w in writes], libpq.length, [r.length for r in reads], failed)
    if scenario.is_mutation:
        return result
    for name, write, read in zip(names, writes, reads):
        late = write.end - setup.count_from
        if late > scenario.writes_within:
            result.missed.append(f"service {name}: writes back after {late:.1f} s, not {scenario.writes_within} s")
        if write.end > libpq.end + AFTER_LIBPQ:
            behind = write.end - libpq.end
            result.missed.append(f"service {name}: writes back {behind:.1f} s later than libpq, not {AFTER_LIBPQ} s")
        if scenario.reads_within is not None and read.length > scenario.reads_within:
            result.missed.append(f"service {name}: reads away for {read.length:.1f} s, not {scenario.reads_within} s")
    if failed:
        result.missed.append(f"{len(failed)} requests failed after the new leader was there")
    return result
