# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end benchmark compares: what each candidate does to its node."""
import json
import os

from endtoend_world import (FIRST, IPERF_PORT, PORT, SECOND, SERVER_PORT, VIP, WEIGHTS, Failed,
                            Missing, run, wait_for, write)


class Candidate:
    targets = [f"{VIP}:{PORT}"]
    throughput_target = VIP
    needs = ()
    is_plain = False

    def __init__(self, name):
        self.name = name

    def setup(self, world, tools):
        pass

    def check(self, world, connections):
        """At the end: did it do what its rows say? Raises Failed."""


class Direct(Candidate):
    """Routed: the client itself draws a backend."""
    targets = [f"{FIRST}:{SERVER_PORT}*{WEIGHTS['1']}", f"{SECOND}:{SERVER_PORT}*{WEIGHTS['2']}"]
    throughput_target = FIRST

    def __init__(self, name, is_plain=False):
        super().__init__(name)
        self.is_plain = is_plain


class Nftables(Candidate):
    needs = ("nft",)

    def __init__(self, name, draw):
        super().__init__(name)
        self.draw = draw

    def setup(self, world, tools):
        rules = f"""table ip bench {{
            chain prerouting {{
                type nat hook prerouting priority dstnat; policy accept;
                ip daddr {VIP} tcp dport {PORT} dnat to {self.draw} mod 100 map {{
                    0-{WEIGHTS['1'] - 1} : {FIRST}, {WEIGHTS['1']}-99 : {SECOND} }} : {SERVER_PORT}
                ip daddr {VIP} tcp dport {IPERF_PORT} dnat to {FIRST}
            }}
        }}
        """
        try:
            world.at("node", "nft", "-f", "-", text=rules)
        except Failed as why:
            raise Missing(str(why)) from why


class Haproxy(Candidate):
    needs = ("haproxy",)

    def setup(self, world, tools):
        write(world.path("haproxy.cfg"), f"""
global
    nbthread 2
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen split
    bind {VIP}:{PORT}
    balance roundrobin
    server v1 {FIRST}:{SERVER_PORT} weight {WEIGHTS['1']}
    server v2 {SECOND}:{SERVER_PORT} weight {WEIGHTS['2']}
listen throughput
    bind {VIP}:{IPERF_PORT}
    server v1 {FIRST}:{IPERF_PORT}
""")
        world.at("node", "ip", "address", "add", f"{VIP}/32", "dev", "lo")
        world.start("node", "haproxy", "haproxy", "-db", "-f", world.path("haproxy.cfg"))
        world.wait_listening("node", "haproxy", PORT)


class Sluice(Candidate):
    def __init__(self, name, door):
        super().__init__(name)
        self.door, self.is_plain = door, door == "xdp"

    def rules(self):
        return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: bench}}
spec:
  hosts: [bench.test]
  resolution: STATIC
  addresses: [{VIP}]
  ports:
  - {{number: {PORT}, name: tcp, protocol: TCP, targetPort: {SERVER_PORT}}}
  - {{number: {IPERF_PORT}, name: tcp-iperf, protocol: TCP}}
  endpoints:
  - {{address: {FIRST}, labels: {{version: v1}}}}
  - {{address: {SECOND}, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: bench}}
spec:
  host: bench.test
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bench}}
spec:
  hosts: [bench.test]
  tcp:
  - match: [{{port: {IPERF_PORT}}}]
    route: [{{destination: {{host: bench.test, subset: v1}}}}]
  - match: [{{port: {PORT}}}]
    route:
    - {{destination: {{host: bench.test, subset: v1}}, weight: {WEIGHTS['1']}}}
    - {{destination: {{host: bench.test, subset: v2}}, weight: {WEIGHTS['2']}}}
"""

    def sluice(self, world, tools, *command, text=None):
        return world.at("node", f"{tools}/sluice", "--state", world.path("state"),
                        "--pins", world.path("bpf/sluice"), *command, text=text)

    def setup(self, world, tools):
        self.tools = tools
        os.mkdir(world.path("bpf"))
        run("mount", "-t", "bpf", "bpf", world.path("bpf"))
        world.start("node", "sluiced", f"{tools}/sluiced", "--device", "n_*", "--door", self.door,
                    "--state", world.path("state"), "--pins", world.path("bpf/sluice"))

        def is_ready():
            if world.processes["sluiced"].poll() is not None:
                raise Failed(f"{self.name}: sluiced ended: {world.log('sluiced')}")
            return "ready, " in world.log("sluiced")
        wait_for(f"sluiced of {self.name}", is_ready)
        self.sluice(world, tools, "apply", "-f", "-", text=self.rules())

    def check(self, world, connections):
        stats = json.loads(self.sluice(world, self.tools, "stats", "-o", "json"))
        opened = sum(version["opened"] for version in stats["versions"])
        here = sum(counter[self.door] for counter in stats["counters"]
                   if counter["counter"].startswith("open_"))
        if opened != connections or here < 0.95 * connections:
            raise Failed(f"{self.name}: of {connections} connections the kernel counted {opened}, "
                         f"{here} of them at the {self.door} door")


CANDIDATES = [
    Direct("direct"),
    Direct("direct-plain", is_plain=True),
    Nftables("nft-numgen", "numgen random"),
    Nftables("nft-jhash", "jhash ip saddr . tcp sport"),
    Haproxy("haproxy"),
    Sluice("sluice-tc", "tc"),
    Sluice("sluice-xdp", "xdp"),
]
