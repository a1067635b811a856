# SPDX-License-Identifier: Apache-2.0
"""Network namespaces for the end-to-end benchmark: client, node, two backends with servers.

Every candidate has a world of its own, with the same addresses. Worlds live in a folder on a file
system of the benchmark's own mount namespace, so that they end with it, whatever ends it.
"""
import contextlib
import os
import subprocess
import time

VIP, PORT, SERVER_PORT, IPERF_PORT = "10.96.80.1", 80, 8080, 5201
BACKENDS = {"backend1": "10.80.11", "backend2": "10.80.12"}
FIRST, SECOND = (net + ".2" for net in BACKENDS.values())
WEIGHTS = {"1": 90, "2": 10}  # of what the backends answer


class Failed(Exception):
    """The run is void, and why."""


class Missing(Exception):
    """A candidate cannot be had on this machine, and why."""


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def wait_for(what, is_so, seconds=30):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s for {what}")
        time.sleep(0.02)


class World:
    """The namespaces of one candidate, and what runs in them."""

    def __init__(self, folder, name, is_plain):
        self.name, self.folder, self.processes = name, os.path.join(folder, name), {}
        self.is_plain = is_plain
        os.mkdir(self.folder)
        for space in ("node", "client", *BACKENDS):
            self.space_add(space)
        self.link_add("client", "10.80.1")
        for space, net in BACKENDS.items():
            self.link_add(space, net)
        self.at("node", "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def path(self, name):
        return os.path.join(self.folder, name)

    def inside(self, space, *command):
        return ("nsenter", f"--net={self.path(space)}", "--", *command)

    def at(self, space, *command, text=None):
        return run(*self.inside(space, *command), text=text)

    def space_add(self, space):
        write(self.path(space), "")
        run("unshare", f"--net={self.path(space)}", "true")
        # Ports enough for the connections of several rounds; no packets but those that are counted;
        # a congestion control that every kernel has, allows in a namespace, and does not pace.
        self.at(space, "sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 65535",
                "net.core.somaxconn=4096", "net.ipv4.tcp_max_syn_backlog=4096",
                "net.ipv4.tcp_congestion_control=reno",
                "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        self.at(space, "ip", "link", "set", "lo", "up")

    def link_add(self, space, net):
        self.at("node", "ip", "-batch", "-", text=(
            f"link add n_{space} type veth peer name eth0 netns {self.path(space)}\n"
            f"address add {net}.1/24 dev n_{space}\nlink set n_{space} up\n"))
        self.at(space, "ip", "-batch", "-", text=(
            f"address add {net}.2/24 dev eth0\nlink set eth0 up\n"
            f"route add default via {net}.1\n"))
        if self.is_plain:
            # Whole checksums and frames of the wire's size from the sender, for XDP sees the bytes
            # as they are; and a receiver that polls, which takes frames that XDP sends.
            self.at(space, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off",
                    "gro", "on")

    def start(self, space, name, *command):
        """In the background; it dies with this program, even when that is killed."""
        with open(self.path(name + ".log"), "w", encoding="utf-8") as log:
            self.processes[name] = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *self.inside(space, *command)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self, name):
        return read(self.path(name + ".log")).strip()

    def listens(self, space, port):
        return bool(self.at(space, "ss", "-Hltn", f"sport = :{port}").strip())

    def wait_listening(self, space, name, port):
        def is_so():
            if self.processes[name].poll() is not None:
                raise Failed(f"{self.name}: {name} ended: {self.log(name)}")
            return self.listens(space, port)
        wait_for(f"{name} of {self.name} on port {port}", is_so)

    def servers_start(self, tools):
        for version, space in enumerate(BACKENDS, 1):
            self.start(space, space, f"{tools}/backend", str(SERVER_PORT), str(version))
        self.start("backend1", "iperf3", "iperf3", "-s", "-p", str(IPERF_PORT))
        for name, space, port in (("backend1", "backend1", SERVER_PORT),
                                  ("backend2", "backend2", SERVER_PORT),
                                  ("iperf3", "backend1", IPERF_PORT)):
            self.wait_listening(space, name, port)

    def pin(self, cpus):
        """Everything that answers or passes bytes on stays on these CPUs."""
        for process in self.processes.values():
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), cpus)

    def end(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
