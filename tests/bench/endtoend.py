#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The end-to-end part of the benchmark: real connections through a node, one way beside another.

    client ---- node ---- backend1 (version 1, 90 of 100)
                      \\-- backend2 (version 2, 10 of 100)

Every candidate has a set of network namespaces of its own, made once and idle while others are
measured. A round measures every candidate once, in an order of its own.

- connect, cpu: a closed loop, 64 connections in flight from a process a CPU. The server closes
  first, as web servers do: the client's ports are free at once, TIME_WAIT is the servers', and
  connection tracking sees the whole of each connection. cpu is what all CPUs did meanwhile, by
  /proc/stat, for one connection: somebody else's work is in it.
- p50, p99: client, servers and HAProxy on one CPU, so that no other CPU's idle state, which takes
  longer to leave than the ways compared here, is in the figure. p50-64, p99-64: on all CPUs.
- throughput: one stream to the first backend.
- Devices keep their offloads, as they come (GRO at the ends changed nothing that could be told
  from noise). XDP needs the ends' checksum and segmentation offload off, because it sees the bytes
  as they are, and their GRO on, because only a device that polls takes frames that XDP sends.
  direct-plain is direct routing with the same: compare sluice-xdp with it. What a TCP sender on
  veth hands to XDP is a clone, which the device copies, every packet: a network card does not.
- nftables: closed connections stay tracked for two minutes, as they come; with more than
  net.netfilter.nf_conntrack_max of them it would drop, and the run would be void.
"""
import argparse
import datetime
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from endtoend_candidates import CANDIDATES
from endtoend_world import IPERF_PORT, WEIGHTS, Failed, Missing, World, read, run, write

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEVIATIONS_MAX = 4
PARALLEL = 64
STARVED_MAX = 3

# What a measure of a candidate gives: row, what it is, unit, digits that the table shows.
ROWS = [
    ("connect", "new connections: connect, one byte each way, close", "connections/s", 0),
    ("cpu", "CPU of the whole machine for one such connection", "µs", 2),
    ("p50", "one byte there and back on one connection, all on one CPU, median", "µs", 2),
    ("p99", "one byte there and back on one connection, all on one CPU, 99th percentile", "µs", 2),
    ("p50-64", "one byte there and back, 64 connections at once, median", "µs", 1),
    ("p99-64", "one byte there and back, 64 connections at once, 99th percentile", "µs", 1),
    ("throughput", "iperf3, one stream from client to backend", "Gbit/s", 2),
]


# --- measuring one candidate once ---

class Measure:
    def __init__(self, candidate, world, tools, times):
        self.candidate, self.world, self.tools, self.times = candidate, world, tools, times
        self.connections, self.starved, self.worst, self.slowest_us = 0, 0, 0.0, 0.0

    def load_once(self, mode, inflight, *options):
        command = self.world.inside("client", f"{self.tools}/load", mode, "--inflight",
                                    str(inflight), *options, *self.candidate.targets)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        try:
            result = json.loads(done.stdout)
        except ValueError:
            raise Failed(f"{self.candidate.name}: {mode}: {done.stderr.strip()}") from None
        self.connections += sum(result["by"].values()) if mode == "connect" else inflight
        self.slowest_us = max(self.slowest_us, result["slowest_us"])
        is_starved = not (result["done"] or result["failed"] or done.stderr)
        if done.returncode and not is_starved:
            raise Failed(f"{self.candidate.name}: {mode}: {result['failed']} failed, first: "
                         f"{result['why'] or done.stderr.strip()}")
        return None if is_starved else result

    def load(self, mode, inflight, *options):
        """Once more where others left no CPU for the whole of the measured time."""
        for _ in range(STARVED_MAX):
            result = self.load_once(mode, inflight, *options)
            if result:
                return result
            self.starved += 1
        raise Failed(f"{self.candidate.name}: {mode}: nothing was done in {STARVED_MAX} runs of "
                     f"{self.times[mode]} s: packets are lost, or the machine is too busy")

    def split_check(self, by):
        """Every version's answers are within so many standard deviations of its weight."""
        asked, whole = sum(by.values()), sum(WEIGHTS.values())
        for version, weight in WEIGHTS.items():
            share = weight / whole
            off = abs(by.get(version, 0) - asked * share)
            off /= (asked * share * (1 - share)) ** 0.5
            self.worst = max(self.worst, off)
            if off > DEVIATIONS_MAX:
                raise Failed(f"{self.candidate.name}: the split is {by} of {asked}, {off:.1f} "
                             f"standard deviations away from {WEIGHTS}")
        if set(by) - set(WEIGHTS):
            raise Failed(f"{self.candidate.name}: unknown versions answered: {by}")

    def connect(self):
        cores = os.cpu_count()
        result = self.load("connect", PARALLEL // cores or 1, "--processes", str(cores),
                           "--seconds", str(self.times["connect"]))
        self.split_check(result["by"])
        return {"connect": result["done"] / result["seconds"],
                "cpu": result["busy_us"] / result["done"]}

    def pingpong(self):
        cpu = max(os.sched_getaffinity(0))
        seconds = ("--seconds", str(self.times["pingpong"]))
        self.world.pin({cpu})
        try:
            alone = self.load("pingpong", 1, "--cpu", str(cpu), *seconds)
        finally:
            self.world.pin(os.sched_getaffinity(0))
        many = self.load("pingpong", PARALLEL, *seconds)
        return {"p50": alone["p50_us"], "p99": alone["p99_us"],
                "p50-64": many["p50_us"], "p99-64": many["p99_us"]}

    def iperf_length(self):
        """By iperf3's clock, which knows whole seconds alone; less than that in bytes."""
        if self.times["iperf3"] >= 1:
            return "-t", str(self.times["iperf3"])
        return "-n", "100M" if self.candidate.is_plain else "400M"

    def throughput(self):
        command = self.world.inside("client", "iperf3", "-J", "-c",
                                    self.candidate.throughput_target, "-p", str(IPERF_PORT),
                                    *self.iperf_length())
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        try:
            result = json.loads(done.stdout)
            bits = result["end"]["sum_received"]["bits_per_second"]
        except (ValueError, KeyError):
            why = done.stderr or done.stdout
            raise Failed(f"{self.candidate.name}: iperf3: {why.strip()[:500]}") from None
        if done.returncode or "error" in result or not bits:
            raise Failed(f"{self.candidate.name}: iperf3: {result.get('error', 'no bytes')}")
        self.connections += 2
        return {"throughput": bits / 1e9}

    def run(self):
        return {**self.connect(), **self.pingpong(), **self.throughput()}


# --- all of them ---

def options_read():
    parser = argparse.ArgumentParser(
        prog="endtoend.py", description="Sluice's doors beside direct routing, nftables DNAT and "
        "HAProxy: connections/s, latency, throughput, CPU. Needs root; makes network namespaces of "
        "its own, which end with it.",
        epilog="exit code: 0 measured, 1 void (a connection failed, or a split was not kept), "
        "2 wrong usage. example: endtoend.py -n 7")
    parser.add_argument("-n", "--rounds", type=int, metavar="ROUNDS", help="rounds (7; quick: 3)")
    parser.add_argument("-o", "--output", metavar="JSON", help="(build/bench/endtoend.json)")
    parser.add_argument("-q", "--quick", action="store_true", help="the short run")
    parser.add_argument("-c", "--candidates", metavar="NAMES",
                        help="comma between them: " + ",".join(c.name for c in CANDIDATES))
    parser.add_argument("--build", default=os.environ.get("BUILD", os.path.join(ROOT, "build")),
                        metavar="DIR", help="where sluice, sluiced and bench/ are (build)")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.output = options.output or os.path.join(options.build, "bench", "endtoend.json")
    names = options.candidates.split(",") if options.candidates else [c.name for c in CANDIDATES]
    unknown = set(names) - {c.name for c in CANDIDATES}
    if unknown or options.rounds < 1:
        parser.error(f"unknown candidate: {', '.join(unknown)}" if unknown else "rounds: 1 or more")
    options.candidates = [c for c in CANDIDATES if c.name in names]
    options.times = ({"connect": 0.4, "pingpong": 0.12, "iperf3": 0} if options.quick else
                     {"connect": 1.6, "pingpong": 0.4, "iperf3": 1})
    return options


def tools_copy(build, folder):
    """Copies: a build meanwhile must not change them in the middle."""
    tools = os.path.join(folder, "bin")
    os.mkdir(tools)
    for name in ("sluice", "sluiced", "bench/load", "bench/backend"):
        try:
            shutil.copy(os.path.join(build, name), tools)
        except OSError as why:
            raise Failed(f"{why}; run: make bench-endtoend") from why
    return tools


def worlds_make(options, folder, tools):
    """The measures that can be had, and what is left out and why."""
    measures, skipped = [], []
    for candidate in options.candidates:
        try:
            for program in candidate.needs:
                if not shutil.which(program):
                    raise Missing(f"{program} is not installed; run: scripts/deps.sh bench")
            world = World(folder, candidate.name, candidate.is_plain)
            measure = Measure(candidate, world, tools, options.times)
            options.worlds.append(world)
            world.servers_start(tools)
            candidate.setup(world, tools)
            measures.append(measure)
        except Missing as why:
            print(f"endtoend: {candidate.name} is left out: {why}", file=sys.stderr)
            skipped += [{"id": f"{candidate.name}/{row[0]}", "why": str(why)} for row in ROWS]
    if not measures:
        raise Failed("no candidate can be measured on this machine")
    return measures, skipped


def rounds_run(options, measures):
    """results[candidate][row] is a list, one figure a round."""
    results = {m.candidate.name: {row[0]: [] for row in ROWS} for m in measures}
    for number in range(options.rounds):
        order = list(measures)
        # What a candidate leaves behind for a minute (TIME_WAIT) must not always meet the same one.
        random.Random(number).shuffle(order)
        for place, measure in enumerate(order):
            if sys.stderr.isatty():
                print(f"\r\033[Kround {number + 1} of {options.rounds}, {measure.candidate.name} "
                      f"({place + 1} of {len(order)})", end="", file=sys.stderr, flush=True)
            for row, figure in measure.run().items():
                results[measure.candidate.name][row].append(figure)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    for measure in measures:
        measure.candidate.check(measure.world, measure.connections)
    return results


def machine():
    cpu = [line.split(":", 1)[1].strip() for line in read("/proc/cpuinfo").splitlines()
           if line.startswith("model name")]
    vulnerable = read("/sys/devices/system/cpu/vulnerabilities/spectre_v2").strip()
    return {"cpu": cpu[0] if cpu else "unknown", "cores": os.cpu_count(),
            "load": os.getloadavg()[0], "spectre_v2": vulnerable, "kernel": platform.release(),
            "architecture": platform.machine(),
            "compiler": os.environ.get("BENCH_COMPILER", "unknown"),
            "source": os.environ.get("BENCH_SOURCE", "unknown")}


def stolen_ticks():
    return int(read("/proc/stat").split()[8])


def rows_of(results):
    return [{"id": f"{name}/{row}", "sentence": f"{name}: {sentence}", "unit": unit,
             "median": statistics.median(figures[row]), "min": min(figures[row]),
             "max": max(figures[row]), "rounds": figures[row]}
            for name, figures in results.items() for row, sentence, unit, _ in ROWS]


def table_print(results, rounds):
    print(f"end to end, median of {rounds} rounds, spread (max - min) / median below it")
    print(f"{'':14}" + "".join(f"{row:>12}" for row, _, _, _ in ROWS))
    units = [unit.replace("connections", "conn") for _, _, unit, _ in ROWS]
    print(f"{'':14}" + "".join(f"{unit:>12}" for unit in units))
    for name, figures in results.items():
        middles = [statistics.median(figures[row]) for row, _, _, _ in ROWS]
        print(f"{name:14}" + "".join(f"{middle:12.{digits}f}" for middle, (_, _, _, digits)
                                     in zip(middles, ROWS)))
        print(f"{'':14}" + "".join(
            f"{100 * (max(figures[row]) - min(figures[row])) / middle:10.0f} %"
            for middle, (row, _, _, _) in zip(middles, ROWS)))


def benchmark(options, folder):
    began, date = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
    stolen, about = stolen_ticks(), machine()
    tools = tools_copy(options.build, folder)
    measures, skipped = worlds_make(options, folder, tools)
    results = rounds_run(options, measures)
    seconds = time.monotonic() - began
    about["stolen_percent"] = round(100 * (stolen_ticks() - stolen) / seconds /
                                    os.sysconf("SC_CLK_TCK") / os.cpu_count(), 2)
    table_print(results, options.rounds)
    verified = {m.candidate.name: {"connections": m.connections, "slowest_us": m.slowest_us,
                                   "starved": m.starved,
                                   "split_off_sd": round(m.worst, 2)} for m in measures}
    connections = sum(m.connections for m in measures)
    print(f"{connections} connections, none failed, every split within {DEVIATIONS_MAX} standard "
          f"deviations; {seconds:.0f} s")
    os.makedirs(os.path.dirname(os.path.abspath(options.output)), exist_ok=True)
    write(options.output + ".new", json.dumps({
        "benchmark": "endtoend", "date": date.strftime("%Y-%m-%dT%H:%M:%SZ"), "machine": about,
        "rounds": options.rounds, "seconds": round(seconds, 1), "times": options.times,
        "in_flight": PARALLEL, "verified": verified, "skipped": skipped,
        "rows": rows_of(results)}, indent=1) + "\n")
    os.replace(options.output + ".new", options.output)


def main():
    options = options_read()
    if os.geteuid():
        sys.exit("endtoend: needs root: it makes network namespaces")
    # In mounts of its own, so that they and the namespaces end with it, whatever ends it.
    if not os.environ.get("SLUICE_BENCH_INSIDE"):
        os.environ["SLUICE_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ("unshare", "--mount", "--propagation", "private", sys.executable,
                              *sys.argv))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.worlds = []
    folder = tempfile.mkdtemp(prefix="sluice-bench.")
    try:
        run("mount", "-t", "tmpfs", "-o", "mode=700", "sluice-bench", folder)
        benchmark(options, folder)
    except (Failed, subprocess.TimeoutExpired) as why:
        sys.exit(f"endtoend: void: {why}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        for world in options.worlds:
            world.end()
        subprocess.run(("umount", "--lazy", "--recursive", folder), check=False,
                       stderr=subprocess.DEVNULL)
        os.rmdir(folder)


if __name__ == "__main__":
    main()
