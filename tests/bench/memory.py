#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory: what the kernel keeps for a flow, a service, a revision; what agent and CLI take.

Kernel memory is what the kernel itself says of each pinned map (bytes_memlock). What a setting
costs is the difference of two loads with two sizes; what a service or a revision costs in use is
the difference before and after.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PINS_ROOT = "/sys/fs/bpf"
NO_DEVICE = "sluice-bench*"  # no interface has such a name
ENDPOINTS = 4  # of a service; the first two are version v1, the others v2
SLOTS = 8  # of a bucket of the flow table: SL_WAYS
DEFAULTS = {"flows": 65536, "services": 16384, "versions": 4096, "endpoints": 65536}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", "--rounds", type=int, default=1,
                        help="rounds (1: the kernel says the same each time)")
    parser.add_argument("-o", "--output", default="build/bench/memory.json", metavar="JSON")
    parser.add_argument("-q", "--quick", action="store_true", help="1,000 services at most")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("at least one round")
    return arguments


# --- a data plane of its own for each measurement ---


class Plane:
    """Pins and state folder of one load; all of it goes when the block ends."""

    def __init__(self, build, folder, **sizes):
        self.build, self.sizes = build, {**DEFAULTS, **sizes}
        self.folder = tempfile.mkdtemp(dir=folder, prefix=f"sluice-memory-{os.getpid()}-")
        self.pins = os.path.join(PINS_ROOT, os.path.basename(self.folder))
        self.state = os.path.join(self.folder, "state")
        self.places = ["--pins", self.pins, "--state", self.state]

    def __enter__(self):
        run([*self.agent_command(), "--once"])
        return self

    def __exit__(self, *_):
        run([f"{self.build}/sluiced", "--detach", *self.places])
        shutil.rmtree(self.folder)

    def agent_command(self):
        sizes = [word for name, size in self.sizes.items() for word in (f"--{name}", str(size))]
        return [f"{self.build}/sluiced", "--device", NO_DEVICE, *self.places, *sizes]

    def sluice(self, *words):
        """Runs a command; gives its greatest resident size in bytes."""
        return run([f"{self.build}/sluice", *words, *self.places])

    def maps(self):
        """Bytes that the kernel counts for each pinned map, by the pin's name."""
        found = {}
        for name in sorted(os.listdir(self.pins)):
            path = os.path.join(self.pins, name)
            if os.path.isdir(path) or name.startswith("prog"):
                continue
            shown = subprocess.run(["bpftool", "-j", "map", "show", "pinned", path], check=True,
                                   capture_output=True, text=True)
            found[name] = json.loads(shown.stdout)
        return found

    def bytes_all(self):
        return sum(shown["bytes_memlock"] for shown in self.maps().values())


def run(command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode:
        sys.exit(f"memory: {' '.join(command)}: ended with {child.returncode}\n{errors}")
    return usage.ru_maxrss * 1024


def address(first, number):
    return f"{first}.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def service_yaml(number, weight):
    host = f"s{number}.bench.svc.cluster.local"
    endpoints = "".join(f"  - address: {address(20 + place, number)}\n"
                        f"    labels: {{version: v{1 + place // 2}}}\n"
                        for place in range(ENDPOINTS))
    head = "---\napiVersion: networking.istio.io/v1\nkind: {}\n" \
           f"metadata: {{{{name: s{number}, namespace: bench}}}}\nspec:\n"
    return (head.format("ServiceEntry") +
            f"  hosts: [{host}]\n  addresses: [{address(10, number)}]\n"
            "  ports:\n  - {number: 80, name: tcp, protocol: TCP}\n  resolution: STATIC\n"
            f"  endpoints:\n{endpoints}" + head.format("DestinationRule") +
            f"  host: {host}\n  subsets:\n  - name: v1\n    labels: {{version: v1}}\n"
            "  - name: v2\n    labels: {version: v2}\n" + head.format("VirtualService") +
            f"  hosts: [{host}]\n  tcp:\n  - route:\n"
            f"    - destination: {{host: {host}, subset: v1}}\n      weight: {weight}\n"
            f"    - destination: {{host: {host}, subset: v2}}\n      weight: {100 - weight}\n")


def services_write(path, count, weight=90):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(service_yaml(number, weight) for number in range(count))
    return path


# --- measurements: each gives rows as (id, sentence, unit, value) ---


def setting_rows(build, folder):
    """What one more of each setting costs, used or not: the tables are made whole at the start."""
    flows = {}
    with Plane(build, folder) as plane:
        base, maps = plane.bytes_all(), plane.maps()
    for name, size in DEFAULTS.items():
        with Plane(build, folder, **{name: 2 * size}) as plane:
            larger = plane.maps()
        more = sum(shown["bytes_memlock"] for shown in larger.values()) - base
        yield (f"setting/{name[:-1]}", f"kernel memory for one more in --{name}, all maps", "bytes",
               more / size)
        if name == "flows":
            flows = larger
    for name in sorted(flows):
        if not name.startswith("flows"):
            continue
        more = flows[name]["bytes_memlock"] - maps[name]["bytes_memlock"]
        entries = flows[name]["max_entries"] - maps[name]["max_entries"]
        yield (f"{name}/connection", f"the map {name}: for one connection more in --flows", "bytes",
               more / DEFAULTS["flows"])
        if entries:
            yield (f"{name}/slot", f"the map {name}: for one slot more; a connection has two",
                   "bytes", more / entries / SLOTS)


def default_rows(build, folder):
    with Plane(build, folder, flows=1048576) as plane:
        yield ("kernel/default", "all maps with the agent's own settings, nothing in them", "bytes",
               plane.bytes_all())


def use_rows(build, folder):
    """What services and revisions take beyond that, for what is not made at the start."""
    count = 1000
    with Plane(build, folder) as plane:
        path = os.path.join(plane.folder, "services.yaml")
        sizes = [plane.bytes_all()]
        for weight in (90, 80, 70):
            plane.sluice("apply", "-f", services_write(path, count, weight))
            sizes.append(plane.bytes_all())
    yield ("use/service", "kernel memory for one service in one revision, beyond the settings'",
           "bytes", (sizes[1] - sizes[0]) / count)
    yield ("use/revision/1000", "kernel memory for one more hot revision of 1,000 services",
           "bytes", (sizes[3] - sizes[1]) / 2)


def smaps_read(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        sizes = re.findall(r"^(\w+): +(\d+) kB", file.read(), re.M)
    return {name: int(size) * 1024 for name, size in sizes}


def ready_wait(child, log):
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        log.seek(0)
        if "ready, revision" in log.read():
            return
        time.sleep(0.01)
    log.seek(0)
    sys.exit(f"memory: the agent is not ready\n{log.read()}")


def agent_rows(build, folder, count):
    sizes = {"versions": 32768} if count > 1000 else {}
    with Plane(build, folder, **sizes) as plane:
        peak = plane.sluice("apply", "-f", services_write(f"{plane.folder}/services.yaml", count))
        with tempfile.TemporaryFile("w+", dir=folder) as log, \
                subprocess.Popen(plane.agent_command(), stderr=log, stdout=log) as child:
            try:
                ready_wait(child, log)
                smaps = smaps_read(child.pid)
            finally:
                child.kill()
    for name, words in (("Rss", "resident, mapped tables and libraries included"),
                        ("Pss", "the same, shared pages by their share"),
                        ("Anonymous", "its own memory alone")):
        yield (f"agent/{name.lower()}/{count}", f"sluiced, services {count:,}: {words}", "bytes",
               smaps[name])
    yield (f"apply/peak/{count}", f"sluice apply, services {count:,}: greatest resident size",
           "bytes", peak)


def round_run(build, folder, counts):
    yield from setting_rows(build, folder)
    yield from default_rows(build, folder)
    yield from use_rows(build, folder)
    for count in counts:
        yield from agent_rows(build, folder, count)


# --- report ---


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    return found.group(1) if found else "unknown"


def machine():
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "load": os.getloadavg()[0],
            "kernel": platform.release(), "architecture": platform.machine(),
            "compiler": os.environ.get("BENCH_COMPILER", "unknown"),
            "source": os.environ.get("BENCH_SOURCE", "unknown")}


def rows_join(rounds):
    rows = []
    for measured in zip(*rounds):
        values = [round(value, 2) for *_, value in measured]
        name, sentence, unit, _ = measured[0]
        rows.append({"id": name, "sentence": sentence, "unit": unit,
                     "median": statistics.median(values), "min": min(values), "max": max(values),
                     "rounds": values})
    return rows


def table_print(rows):
    print(f"{'row':22} {'median':>14} {'min':>14} {'max':>14}")
    for row in rows:
        print(f"{row['id']:22} {row['median']:14,.1f} {row['min']:14,.1f} {row['max']:14,.1f} "
              f"{row['unit']:6} {row['sentence']}")


def main():
    arguments = parse_arguments()
    began = time.monotonic()
    build = os.environ.get("BUILD", "build")
    if os.geteuid():
        sys.exit("memory: needs root")
    if not shutil.which("bpftool"):
        sys.exit("memory: needs bpftool")
    counts = (1, 1000) if arguments.quick else (1, 1000, 10000)
    with tempfile.TemporaryDirectory(dir=f"{build}/bench") as folder:
        rounds = [list(round_run(build, folder, counts)) for _ in range(arguments.rounds)]
    rows = rows_join(rounds)
    table_print(rows)
    now = datetime.datetime.now(datetime.timezone.utc)
    report = {"benchmark": "memory", "date": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
              "machine": machine(), "rounds": arguments.rounds,
              "seconds": round(time.monotonic() - began, 1), "rows": rows, "skipped": []}
    with open(arguments.output, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
