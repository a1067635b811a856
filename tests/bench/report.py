#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The report of the benchmark: rows of all parts in, targets, page and drawings out.

Debian's own Python, for it is the one that has Debian's matplotlib.
"""
import argparse
import json
import math
import os
import statistics
import sys

sys.dont_write_bytecode = True  # nothing generated beside the sources
import report_page  # noqa: E402
import report_plots  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTS = ("packet", "endtoend", "control", "fidelity", "memory")

# --- the targets: the one place that computes them from rows ---


class Absent(Exception):
    """A row that a target needs is not there."""


class Rows:
    """A part's rows by id; figures are lists, one a round."""

    def __init__(self, part):
        self.by_id = {row["id"]: row for row in part["rows"]}

    def row(self, row_id):
        if row_id not in self.by_id:
            raise Absent(row_id)
        return self.by_id[row_id]

    def rounds(self, row_id):
        row = self.row(row_id)
        return row.get("rounds") or [row["median"]]

    def worst(self, row_id):
        return self.row(row_id)["max"]

    def mean(self, row_id):
        return self.row(row_id)["mean"]


def figure(row_id):
    return lambda rows: rows.rounds(row_id)


def times(row_id, *others, best=max):
    """A row in multiples of another, or of the best of others, round by round."""
    def compute(rows):
        against = [best(each) for each in zip(*(rows.rounds(other) for other in others))]
        mine = rows.rounds(row_id)
        if len(mine) != len(against):
            raise Absent(f"as many rounds of {row_id} as of {others[0]}")
        return [a / b if b else math.inf for a, b in zip(mine, against)]
    return compute


MOVEMENTS = ("canary", "stable-one", "any-two", "one-grows", "any")
OTHER_MOVEMENTS = ("any-two", "one-grows", "any")


def movement_worst(kinds, counts):
    return lambda rows: [max(rows.worst(f"movement/{kind}/{count}/sluice")
                             for kind in kinds for count in counts)]


def movement_beside(rival, kinds, counts):
    """The mean in multiples of a rival's, where that is greatest."""
    return lambda rows: [max(rows.mean(f"movement/{kind}/{count}/sluice") /
                             rows.mean(f"movement/{kind}/{count}/{rival}")
                             for kind in kinds for count in counts)]


def share_worst(rows):
    return [max(rows.worst(f"share/{count}/sluice") for count in (2, 3, 8))]


AT_MOST, AT_LEAST, BELOW = "≤", "≥", "<"


class Target:
    def __init__(self, target_id, title, sense, limit, unit, compute):
        self.id, self.title, self.sense, self.limit, self.unit = (
            target_id, title, sense, limit, unit)
        self.part, self.compute = target_id.split("/")[0], compute

    def is_held(self, value):
        if self.sense == AT_MOST:
            return value <= self.limit
        return value >= self.limit if self.sense == AT_LEAST else value < self.limit


STATEFUL = "× the stateful floor"
RESTS = "three to eight versions"
MANY = range(4, 9)

TARGETS = [
    Target("packet/one", "established, one flow, XDP, up the stack", AT_MOST, 0.40, STATEFUL,
           times("xdp/up", "xdp/both")),
    Target("packet/one-redirect", "established, one flow, XDP, redirected", AT_MOST, 0.40,
           STATEFUL, times("xdp/re", "xdp/both")),
    Target("packet/64k", "established, 64 Ki flows, XDP, up the stack", AT_MOST, 0.60,
           STATEFUL + " at 64 Ki flows", times("xdp/up-64k", "xdp/both-64k")),
    Target("packet/64k-redirect", "established, 64 Ki flows, XDP, redirected", AT_MOST, 0.60,
           STATEFUL + " at 64 Ki flows", times("xdp/re-64k", "xdp/both-64k")),
    Target("packet/new", "new flow, XDP, up the stack", AT_MOST, 0.40, "× the LRU-insert floor",
           times("xdp/up-new", "xdp/insert")),
    Target("packet/new-redirect", "new flow, XDP, redirected", AT_MOST, 0.40,
           "× the LRU-insert floor", times("xdp/re-new", "xdp/insert")),
    Target("packet/v6", "IPv6, one flow, XDP, up the stack", AT_MOST, 1.35, "× IPv4",
           times("xdp/up-v6", "xdp/up")),
    Target("packet/v6-64k", "IPv6, 64 Ki flows, XDP, up the stack", AT_MOST, 1.35, "× IPv4",
           times("xdp/up-v6-64k", "xdp/up-64k")),
    Target("packet/v6-redirect", "IPv6, one flow, XDP, redirected", AT_MOST, 1.35, "× IPv4",
           times("xdp/re-v6", "xdp/re")),
    Target("packet/v6-tc", "IPv6, one flow, tc, up the stack", AT_MOST, 1.35, "× IPv4",
           times("tc/up-v6", "tc/up")),
    Target("packet/v6-tc-redirect", "IPv6, one flow, tc, redirected", AT_MOST, 1.35, "× IPv4",
           times("tc/re-v6", "tc/re")),
    Target("packet/services", "10,000 services, established, 64 Ki flows", AT_MOST, 1.3,
           "× one service", times("xdp/up-64k-many", "xdp/up-64k")),
    Target("packet/services-new", "10,000 services, new flow", AT_MOST, 1.3, "× one service",
           times("xdp/up-new-many", "xdp/up-new")),
    Target("packet/pass", "packet that is not ours", AT_MOST, 0.5, "× one LRU hit",
           times("xdp/pass", "xdp/flow")),
    Target("packet/pass-64k", "packet that is not ours, 64 Ki flows", AT_MOST, 0.5,
           "× one LRU hit at 64 Ki flows", times("xdp/pass-64k", "xdp/flow-64k")),

    Target("endtoend/connect-nft", "tc door, new connections/s", AT_LEAST, 1.05,
           "× nftables DNAT (its better form)",
           times("sluice-tc/connect", "nft-numgen/connect", "nft-jhash/connect")),
    Target("endtoend/connect-haproxy", "tc door, new connections/s", AT_LEAST, 1.5, "× HAProxy",
           times("sluice-tc/connect", "haproxy/connect")),
    Target("endtoend/p50", "tc door, ping-pong, p50", AT_MOST, 1,
           "× nftables DNAT (its better form)",
           times("sluice-tc/p50", "nft-numgen/p50", "nft-jhash/p50", best=min)),
    Target("endtoend/throughput", "tc door, iperf3 throughput", AT_LEAST, 0.97, "× direct",
           times("sluice-tc/throughput", "direct/throughput")),

    Target("control/flip", "in-process flip", AT_MOST, 1, "µs", figure("flip/store")),
    Target("control/table", "a table of 16,384 slots written and flipped", AT_MOST, 50, "µs",
           figure("flip/table")),
    Target("control/weight", "`sluice weight`, whole process, 1 service", AT_MOST, 10, "ms",
           figure("weight/exit/1")),
    Target("control/weight-1000", "`sluice weight`, whole process, one of 1,000 services", AT_MOST,
           10, "ms", figure("weight/exit/1000")),
    Target("control/rollback", "`sluice rollback`, whole process, 1 service", AT_MOST, 5, "ms",
           figure("rollback/exit/1")),
    Target("control/rollback-1000", "`sluice rollback`, whole process, 1,000 services", AT_MOST,
           5, "ms", figure("rollback/exit/1000")),
    Target("control/apply", "apply of 1,000 services", AT_MOST, 0.5,
           "× nft's atomic replace of 1,000 DNAT rules",
           times("apply/1000", "nft/dnat/1000")),

    Target("fidelity/share", "share error, worst of 2, 3 and 8 versions", BELOW, 1, "slots",
           share_worst),
    Target("fidelity/two", "movement, two versions, worst of any change", AT_MOST, 1,
           "× the minimum", movement_worst(MOVEMENTS, (2,))),
    Target("fidelity/stable-three", "movement, three versions, stable and one other, worst",
           AT_MOST, 1, "× the minimum", movement_worst(("stable-one",), (3,))),
    Target("fidelity/stable-many",
           "movement, four to eight versions, stable and one other, worst", AT_MOST, 1,
           "× the minimum", movement_worst(("stable-one",), MANY)),
    Target("fidelity/any-three", "movement, three versions, worst of any change", AT_MOST, 2,
           "× the minimum", movement_worst(MOVEMENTS, (3,))),
    Target("fidelity/any-many", "movement, four to eight versions, worst of any change", AT_MOST,
           2, "× the minimum", movement_worst(MOVEMENTS, MANY)),
    Target("fidelity/maglev-stable", f"mean movement, {RESTS}, stable and one other", BELOW, 1,
           "× weighted Maglev", movement_beside("maglev", ("stable-one",), range(3, 9))),
    Target("fidelity/rendezvous-stable", f"mean movement, {RESTS}, stable and one other", BELOW,
           1, "× weighted rendezvous",
           movement_beside("rendezvous", ("stable-one",), range(3, 9))),
    Target("fidelity/maglev-any", f"mean movement, {RESTS}, any other change", BELOW, 1,
           "× weighted Maglev", movement_beside("maglev", OTHER_MOVEMENTS, range(3, 9))),
    Target("fidelity/rendezvous-any", f"mean movement, {RESTS}, any other change", BELOW, 1,
           "× weighted rendezvous",
           movement_beside("rendezvous", OTHER_MOVEMENTS, range(3, 9))),

    Target("memory/flow", "kernel memory of a flow slot, IPv4 or IPv6 (a connection has two)",
           AT_MOST, 32, "bytes", figure("flows/slot")),
]

# Why a target is missed, and what was tried. By the target's id; markdown.
REASONS = {
    "packet/one": """
What the floor's look-ups take depends on the processor more than the row does. Where one that hits
the first cache takes 10 ns, the floor takes 23 (a run of 2026-12-01); where it took 30, the floor
took 62 and the row 22, which was 0.36 of it (commit d310f75, 2026-11-24). The row is bound by its
instructions: the tuple is parsed and hashed twice, the address looked for in the bitmap, checksums,
statistics and the verdict written; of these the bitmap takes 1 to 2 ns and the statistics 2. Two
fifths of 23 ns are three times what it takes to parse and send back. Left out in turn where the row
took 27: statistics, 1 to 2 ns; everything that is written into the packet, 4 to 5. Registers in the
place of the parsed tuple's 64 bytes on the stack were not tried: BPF has five that outlive a call.""",
    "packet/64k": """
Both rows are misses of cache and TLB, which depend on what else runs on the machine's memory: 0.46
on that of commit d310f75, and 0.41, 0.66, 0.70 and 0.70 in four runs of one build on the newer
processor (2026-12-01), whose floor took 130 to 350 ns within one run. A packet of a known flow
misses in three places where the floor misses in two or three: the flow's bucket, the endpoint, the
line of statistics of its version; the floor's are a bucket's head, its element and, at times, the
next element. Which of them missed was not counted: a virtual machine has no counters for it.""",
    "packet/pass": """
As `packet/one`: the reference is one look-up that hits the first cache, 17 to 20 ns with parsing
where this was missed, 31 where it was held. Left out in turn where the row took 13.2 ns: both
addresses' look-ups in the bitmap, 5; reading the frame, 6; the verdict's counter is the last 2.""",
    "packet/new": """
The floor inserts one entry into one map. A new flow is decided and written: its bucket is searched
(a miss of cache and TLB that the floor has too), revision, service, split, slot, version and ring
are looked up, two ways are written into the flow table, the opening is counted and its clock read.
With parts left out, one at a time, in one sitting where the row took 435 ns: 310 without the two
ways' places (`flow_write`), 355 without counting (`flow_begin`), 395 without the clock that the
handshake's time is measured from, 413 with a constant for SipHash, 415 without the second search of
the bucket. So no one of them is the miss, and the target asks for all of them together. Not done:
measuring the handshake of every eighth connection alone (a service with few connections would
have no figure), and one search for both ways' places (40 ns at most, for a second version of the
code that decides who gives way).""",
    "packet/new-redirect": """
As `packet/new`, and two routes more: a connection is redirected only where its way back can be too,
so both are asked for. Answers are remembered by destination, and in this row every packet has
another client: the way back is a look-up in the kernel's routing table each time (about 125 ns) and
an entry written.""",
    "packet/one-redirect": """
The way that most packets go. Beside the row up the stack it pays for the remembered route (two look-ups in arrays, a comparison of address, epoch and time), both MAC
addresses, the TTL with its checksum, and the call of `bpf_redirect`. The floor sends nothing
anywhere. In return the packet skips the stack, which the end-to-end rows show.""",
    "packet/64k-redirect": """
As `packet/one-redirect`: what it costs beside the row up the stack does not shrink while the flows'
own cache misses grow.""",
    "packet/v6-64k": """
At the limit: 1.20, 1.25 and 1.36 in three runs of one build within half an hour. Twelve words of
addresses more are read and hashed before the bucket's address is known, so what they take is not
hidden behind the misses of cache and TLB. Which pages the table has, and so how many of those
misses there are, differs from run to run by more than that.""",
    "packet/services": """
64 Ki flows of one service share an endpoint's record and a line of statistics; of 10,000 services
each packet finds both cold, two misses of cache and TLB more (a service has its own endpoints and
its own figures). What the row does not pay for is a look-up of the service: that is for new flows
alone. Tried on paper and left: statistics by endpoint instead of version would let both lines be
fetched at once, but there are more endpoints than versions, so more of them are cold; a record of
both for every CPU would cost 64 bytes times endpoints times CPUs.""",
    "packet/services-new": """
As `packet/services`, and cold too are the service's entry and its bucket in the HASH, its split's
members, its versions, its ring. The tables of slots are shared by equal splits and stay warm.""",
    "control/weight": """
What a process takes that does nothing (`empty/exit`) belongs to it, and differs between machines:
2.5 ms where this was missed (2026-12-01), where each page that is touched first costs 25 µs; there
`sluice version` takes 5 ms, nearly all of it the dynamic loader with its twelve libraries. On the
machine of commit d310f75 the whole command took 5.0 ms. Libraries linked in statically saved 1.5 to
2 ms of 9; not done, because a distribution's fixes of libbpf, libelf or libyaml would no longer
reach the command.""",
    "control/rollback": """
As `control/weight`: 2.8 ms on the machine of commit d310f75. Of 9.8 ms where it was missed, 5 go by
before `main` begins or after it ends, and 1.5 are the two syncs of the pointer on disk, which new
connections do not wait for: they obey before (`rollback/seen/1`).""",
    "control/weight-1000": """
A revision is a file of its own, whole and readable (860 kB for 1,000 services), and an entry for
each service in the kernel. Of the others' text nothing is parsed and of their tables nothing is
laid out: their text is copied around the changed service's and their entries are copied in the
kernel. What is left grows with the number of services all the same: the file is read and its digest
checked, the new one is written, digested and synced (four syncs), 1,000 entries are looked up and
1,000 inserted, and the counters of 2,000 versions are read for the measurement that begins with a
flip. That is about 10 ms of processor time where the whole model took 80. A file of differences
would be quicker, and a damaged one would take all later revisions along.""",
    "control/rollback-1000": """
New connections obey after about 2 ms (the `seen` rows). Before, the file of the revision that is
gone back to is read and its digest checked; after, the disk's pointer is written and synced, the
counters of 2,000 versions are read for the measurement that begins with a flip, and the file of the
revision that is left is read to say what has changed. A damaged file must not become active, so
none of the checks is left out.""",
    "control/apply": """
nft reads one line a service and checks none against what was there. Sluice reads 1 MB of YAML in
3,000 objects, checks every field, reads what is in force (860 kB of rules, 480 kB of endpoints),
says for each service what changes, and keeps the result as a file that can be read and rolled back
to. Of 60 ms of processor time, reading, checking and merging the input takes two fifths, reading
what is in force a fifth, planning, exporting and comparing a tenth, and the kernel's tables less
than a fifth, of which two thirds lay out the endpoints' rings. The input alone, at 24 ms, takes
longer than half of nft's replacement at 36 ms, so YAML does not meet this target. What was gained:
SHA-256 by the processor's own instructions (6 of 115 ms), blocks in the place of single
allocations, large pages for the heap (12 ms), and no look at all entries of every hot revision
(10 ms and more with many). Two threads, one for what is in force, would save a fifth of the time
and none of the work; a binary copy of the model beside each revision would save as much, and be a
second truth. Neither was done.""",
    "fidelity/stable-many": """
No pure function of the weights can do it. Suppose that every change between the stable version and
one other were minimal. Such a change moves no slot of a third version, so the slots of a version
other than the stable one depend on its own number alone: call them S<sub>i</sub>(k), k slots.
S<sub>1</sub>(k) and S<sub>2</sub>(N − k) are disjoint and fill the table of N slots, and so do
S<sub>3</sub>(N − k) and S<sub>1</sub>(k), and S<sub>3</sub>(N − k) and S<sub>2</sub>(k): then
S<sub>1</sub>(k) = S<sub>2</sub>(k), and two versions with one slot each would share it. With three
versions there is no third of the others, and the layout is minimal. With more, Sluice is minimal as
long as the other versions fit in their blocks, as in a canary release they do (the `canary` rows:
at most one or two slots of rounding more than the minimum); the rows of this target draw all
weights between 0 and 100, where the stable version is one of many. A layout that remembered the
table before could do better, but then two nodes, or a node before and after a restart, would send
one key to different versions.""",
    "fidelity/any-many": """
On every size that could be searched exhaustively (a SAT solver; four versions on 9, 10, 12 slots,
five on 3 to 6) there is no pure function of the weights that keeps every change within twice the
minimum; within three times there are some (`user/plan/slots.h`). The table of movement below says
how often Sluice's tables exceed twice the minimum: in few changes between the stable version and
one other, in up to a third of those between any two of eight versions. Weighted Maglev and
rendezvous exceed it too, in fewer changes of the other kinds; Maglev in more between the stable
version and one other.""",
    "fidelity/maglev-any": """
This wish and the one that a change between the stable version and one other be minimal exclude each
other. For three versions the proof is short. Who is minimal there has a nested sequence of slots
for version 1, and for version 2 the same sequence from its other end (see above), so the layout is
Sluice's but for the slots' names, and so is the movement of every change. When the weight of one
version grows and the others stay, the share of the third falls too: its slots go to the stable
version, and others go from there to the one that grows, two moves where one would do. In Maglev's
and rendezvous' random layouts a version that grows takes its slots from all others at once: they
move less in just these changes, and more in those that a canary release makes. With four versions
and more the choice is not forced, but it is the same one.""",
    "fidelity/rendezvous-any": """
As for Maglev: the price of being minimal between the stable version and one other. Rendezvous
hashing moves the least when one weight grows (its slots go nowhere but to the one that grows), but
its shares are what its hashes happen to give: off by up to 200 slots where Sluice's are off by less
than one (the `share` rows), and with three versions or more it moves 1.2 to 1.7 times the minimum
between the stable version and one other.""",
}


def target_result(target, parts):
    """What came out: state, and the figure when there is one."""
    result = {"target": target, "state": "not measured", "why": None}
    if target.part not in parts:
        result["why"] = f"no rows of the part {target.part}"
        return result
    try:
        rounds = target.compute(Rows(parts[target.part]))
    except Absent as row:
        skips = {skip["id"]: skip["why"] for skip in parts[target.part].get("skipped", [])}
        known = [skip for skip in skips if str(row) == skip or str(row).startswith(skip + "/")]
        result["why"] = skips[known[0]] if known else f"no row {row}"
        result["is_lost"] = not known
        return result
    middle = statistics.median(rounds)
    result.update(median=middle, min=min(rounds), max=max(rounds), rounds=len(rounds),
                  state="held" if target.is_held(middle) else "MISSED")
    if result["state"] == "MISSED":
        result["why"] = REASONS.get(target.id, "").strip() or None
    return result


# --- the parts' files to one ---

def number_round(value):
    """Six digits are more than any figure here deserves; as integers where they are."""
    if isinstance(value, float):
        value = float(f"{value:.6g}")
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, list):
        return [number_round(each) for each in value]
    if isinstance(value, dict):
        return {key: number_round(each) for key, each in value.items()}
    return value


def row_normal(row):
    """The packet part tells gross and net; what counts is net, the ratio is computed from it."""
    if row.get("unit") == "us":
        row["unit"] = "µs"
    if "net_ns" not in row:
        return row
    gross, ratio = row.pop("gross_ns"), row.pop("ratio", None)
    row.update(unit="ns", gross=gross["median"], **row.pop("net_ns"))
    if ratio:
        row["against"] = ratio["against"]
    return row


def part_normal(name, part):
    part["benchmark"] = name
    part.setdefault("date", part.get("machine", {}).pop("date", "unknown"))
    part["rows"] = [row_normal(row) for row in part["rows"]]
    return number_round(part)


def json_read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except ValueError as why:
        sys.exit(f"report: {path} is no JSON ({why}); measure that part again")


def parts_read(options):
    """What is in the folder of the parts; what is not is kept from the report before."""
    before = None if options.fresh else json_read(os.path.join(options.to, "benchmark.json"))
    parts = {}
    for name in PARTS:
        part = json_read(os.path.join(options.parts, name + ".json"))
        if part:
            parts[name] = part_normal(name, part)
        elif before and name in before["parts"]:
            parts[name] = before["parts"][name]
            print(f"report: {name}: kept from {options.to}/benchmark.json "
                  f"({parts[name]['date']})", file=sys.stderr)
        else:
            print(f"report: {name}: left out, there is no {options.parts}/{name}.json",
                  file=sys.stderr)
    if not parts:
        sys.exit(f"report: nothing is measured: no JSON file of a part in {options.parts}; "
                 "run: make bench")
    return parts


def machines_check(parts):
    """Figures of two machines on one page would be compared."""
    for key in ("cpu", "kernel", "architecture"):
        seen = {part["machine"].get(key, "unknown") for part in parts.values()} - {"unknown"}
        if len(seen) > 1:
            sys.exit(f"report: the parts were measured on machines that differ in {key} "
                     f"({', '.join(sorted(seen))}); measure all on one: make bench")


def json_text(merged):
    """A row a line, so that a difference between two runs can be read."""
    lines = ["{"]
    for key in merged:
        if key != "parts":
            lines.append(f' "{key}": {json.dumps(merged[key], ensure_ascii=False)},')
    lines.append(' "parts": {')
    for name, part in merged["parts"].items():
        head = json.dumps({key: part[key] for key in part if key != "rows"}, ensure_ascii=False)
        lines.append(f'  "{name}": {head[:-1]}, "rows": [')
        lines.append(",\n".join("   " + json.dumps(row, ensure_ascii=False)
                                for row in part["rows"]))
        lines.append("  ]}" + ("," if name != list(merged["parts"])[-1] else ""))
    return "\n".join(lines + [" }", "}"]) + "\n"


# --- telling ---

def files_make(merged, with_plots=True):
    """Everything beside the JSON file, by name."""
    results = [target_result(target, merged["parts"]) for target in TARGETS]
    files = {"benchmark.md": report_page.page(merged, results).encode()}
    if with_plots:
        files.update(report_plots.draw_all(merged["parts"]))
    return results, files


def results_print(results):
    colours = {"held": "32", "MISSED": "31", "not measured": "33"} if sys.stdout.isatty() else {}
    print(f"{'target':64}{'wanted':>10}  {'measured':>10}  result")
    for result in results:
        target = result["target"]
        wanted = f"{target.sense} {report_page.number(target.limit)}"
        measured = report_page.number(result["median"]) if "median" in result else "-"
        state = result["state"]
        if state in colours:
            state = f"\033[{colours[state]}m{state}\033[0m"
        print(f"{target.title[:63]:64}{wanted:>10}  {measured:>10}  {state}  ({target.unit})")
        if result["state"] == "MISSED" and not result["why"]:
            print(f"{'':64}no reason written yet: REASONS[\"{target.id}\"] in report.py")
        if result["state"] == "not measured":
            print(f"{'':64}{result['why']}")
    states = [result["state"] for result in results]
    print(", ".join(f"{states.count(state)} {state}"
                    for state in ("held", "MISSED", "not measured")))


def complaints(results):
    """What must not go unnoticed."""
    ids = {target.id for target in TARGETS}
    said = [f"a reason is written for {name}, which is no target" for name in REASONS
            if name not in ids]
    for result in results:
        if result["state"] == "MISSED" and not result["why"]:
            said.append(f"{result['target'].id} is missed: no reason written yet")
        if result.get("is_lost"):
            said.append(f"{result['target'].id}: {result['why']}: was it renamed?")
    return said


def report(options):
    parts = parts_read(options)
    machines_check(parts)
    merged = {"quick": options.quick, "drawn_with": report_plots.version(), "parts": parts}
    results, files = files_make(merged)
    files["benchmark.json"] = json_text(merged).encode()
    os.makedirs(options.to, exist_ok=True)
    for stale in set(drawings_in(options.to)) - set(files):
        os.remove(os.path.join(options.to, stale))
    for name, content in files.items():
        path = os.path.join(options.to, name)
        with open(path + ".new", "wb") as file:
            file.write(content)
        os.replace(path + ".new", path)
    results_print(results)
    print(f"{options.to}/benchmark.md")
    said = complaints(results)
    for each in said:
        print(f"report: {each}", file=sys.stderr)
    # Three rounds of a short run miss by noise; nobody writes reasons for noise.
    return 1 if said and not options.quick else 0


def drawings_in(folder):
    try:
        return [name for name in os.listdir(folder)
                if name.startswith("benchmark-") and name.endswith(".svg")]
    except FileNotFoundError:
        return []


def check(options):
    """Is the page what the JSON file gives, byte for byte?"""
    merged = json_read(os.path.join(options.to, "benchmark.json"))
    if not merged:
        sys.exit(f"report: there is no {options.to}/benchmark.json; run: make bench")
    here = report_plots.version()
    with_plots = here == merged["drawn_with"]
    results, files = files_make(merged, with_plots)
    said = complaints(results)
    for name in sorted(set(files) | set(drawings_in(options.to) if with_plots else [])):
        try:
            with open(os.path.join(options.to, name), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            content = None
        if name not in files:
            said.append(f"{options.to}/{name} is of an older report; delete it")
        elif content is None:
            said.append(f"{options.to}/{name} is missing; run: make bench-report")
        elif content != files[name]:
            said.append(f"{options.to}/{name} is not what benchmark.json gives; run: "
                        "make bench-report")
    for each in said:
        print(f"report: {each}", file=sys.stderr)
    if said:
        return 1
    if not with_plots:
        print(f"report: the drawings are not compared: made with {merged['drawn_with']}, here is "
              f"{here or 'no matplotlib: scripts/deps.sh bench'}", file=sys.stderr)
        return 77
    print(f"report: {len(files)} files in {options.to} are what benchmark.json gives")
    return 0


def options_read():
    parser = argparse.ArgumentParser(
        prog="report.py", description="Writes the report of the benchmark: benchmark.json, "
        "benchmark.md and benchmark-*.svg, and prints the table of targets.",
        epilog="exit code: 0 written; 1 a missed target without a reason, a target without its "
        "row, or files that are not what they should be; 2 wrong usage; 77 (--check) the page is "
        "right, the drawings cannot be compared with the matplotlib that is here. "
        "example: report.py --check")
    parser.add_argument("--from", dest="parts", metavar="DIR",
                        default=os.path.join(ROOT, "build", "bench"),
                        help="where PART.json are (build/bench); a part that is not there is kept "
                        "from the report before")
    parser.add_argument("--to", metavar="DIR", default=os.path.join(ROOT, "docs"),
                        help="the report's folder (docs)")
    parser.add_argument("--fresh", action="store_true", help="keep no part from the report before")
    parser.add_argument("--quick", action="store_true",
                        help="the rows are of a short run: the page says so, and a missed target "
                        "needs no reason")
    parser.add_argument("--check", action="store_true",
                        help="write nothing: are the page and the drawings what benchmark.json "
                        "gives, byte for byte?")
    options = parser.parse_args()
    # As people would type them.
    options.parts, options.to = os.path.relpath(options.parts), os.path.relpath(options.to)
    return options


def main():
    options = options_read()
    if options.check:
        return check(options)
    if not report_plots.version():
        sys.exit("report: python3-matplotlib is not installed; run: scripts/deps.sh bench")
    return report(options)


if __name__ == "__main__":
    sys.exit(main())
