# SPDX-License-Identifier: Apache-2.0
"""The page of the benchmark, in markdown; what the rows include and leave out stands here."""

HEAD = """# Benchmark

Written by `make bench` (root, Debian 12, under 10 minutes); `make bench-report` draws it anew from
the figures in `benchmark.json`, `tests/bench/report.py --check` says whether it is what they give.
Do not edit it: the texts are in `tests/bench/report.py` and `tests/bench/report_page.py`.

Compare ratios, not nanoseconds: those are of one machine at one hour. What is compared was measured
in turn in the same run: each round measures every row once, so that a machine that drifts drifts
for all. Figures are medians of the rounds with the least and the greatest in brackets; a ratio is
taken within each round, and the median is of these ratios.
"""

QUICK = """
**This is a short run** (`make bench-quick`): few rounds, few packets. It shows that everything can
be measured; its figures are noise.
"""


def lines_table(left, right, rows):
    return "\n".join([f"| {left} | {right} |", "|---|---|"] +
                     [f"| {a} | {b} |" for a, b in rows]) + "\n"


# By part: title, what is measured, what is left out.
ABOUT = {
    "packet": ("Packet cost", """
What one packet costs in Sluice's programs, in nanoseconds of CPU time, beside programs that do the
least that a program of the kind can do. `BPF_PROG_RUN` repeats a program over one buffer. A
program that rewrites would see its own output from the second packet on, so a generator runs
first: it restores the headers from a copy, writes the flow's client address and port (and VIP)
into them, and tail-calls the program under test. It takes no branch that depends on the stream, so
it costs the same for all rows.

**Net = the row's time − the time of an empty program under the same generator, in the same
round.** Times are the thread's own CPU time. A row whose packets did not get its verdict (by
Sluice's own counters: at least 999 in 1,000) or that a floor missed stops the run: no row can
measure something else than it says.

""" + lines_table("rows", "what they do", (
    ("parse and send back", "Ethernet, IPv4 and TCP parsed with bounds checks, MAC addresses "
     "swapped, `XDP_TX` (tc: redirect to the same device): the physical floor"),
    ("+ one HASH look-up", "the same, and the service is found by VIP, port, protocol"),
    ("+ one LRU_HASH hit", "the same, and the flow is found by its 5-tuple"),
    ("stateful floor", "both look-ups; nothing is rewritten, booked or counted"),
    ("new flow floor", "one LRU insertion per packet, into a full table: each pushes another flow "
     "out"),
    ("established", "Sluice: flow found, version and verdict counted, clock read, address, port "
     "and checksums rewritten"),
    ("reply", "the endpoint's packet: `up-reply` is left alone by ingress and `out/reply` rewrites "
     "it on its way out; `re-reply` does both at once"),
    ("new flow", "every packet a SYN of another flow: service, slot, version, ring, endpoint; the "
     "flow is put into a table full of unanswered ones of its protocol. UDP looks into a second "
     "bucket there, for one that goes one way need not be a flood's"),
    ("not ours", "a TCP packet for an address without a service: neither end of it is a VIP or an "
     "endpoint"),
)) + """
"Up the stack" rows have doors loaded with `redirect` off. "Redirect" rows send straight between
devices: MAC addresses and TTL are written too, with what the kernel's FIB said within the last
second (`new flow`, redirected, asks it for the way back each time: every client is another).
"64 Ki flows" are drawn in a scattered order, so that no prefetcher follows. "10,000 services" spreads the flows over
as many VIPs and 4,000 versions; all other rows find one service, split 90 to 10 between two
versions of three endpoints, in a table that holds the 10,000 as well. Tables have the sizes that
the agent makes by default (the benchmark asks its code); the floors' flow tables are LRU hashes
from 5-tuple to 16 bytes, with an entry for each connection that Sluice's is made for. 512 Ki flows,
and new flows, have tables of their own: what else
lies in a table lengthens its chains for all.

What made the figures, and what would not have. Flows in a mapped array of our own: with an LRU hash
the rows of one flow, 64 Ki flows and a new flow were 110, 393 and 1,715 ns. Remembered routes: a
look-up in the kernel's took 125 ns of every redirected packet. A bitmap of known addresses: what is
not ours asks no flow table. Left alone: checksum differences computed in advance (a constant in
their place takes 1.5 ns off 24), and services in an open-addressing array (a new flow that finds
its service without any look-up takes 16 ns less of 470, and established flows have none). The 64
bytes of the parsed tuple are zeroed for each packet: a door that does that, counts and returns
takes 2.2 ns of the 13 of a packet that is not ours.
""", """
- In: the program itself, its helpers, its counters.
- Out: the tail call (in the empty program too); driver, DMA and the cache misses of a packet that
  has just arrived; the flush of a redirect and the other device's transmission; building an skb;
  the stack's own work after "up the stack"; a second CPU that uses the same flows.
- Out: the mark of a live flow, once in two seconds (every flow was marked just before the run; a
  run that lasts longer, on a machine that is busy, has some).
- A CPU overlaps the generator with what follows, so the smallest figures (parse and send back) are
  lower bounds.
- The frame is 128 bytes, its IP and TCP checksums those of the first flow: nobody checks them here.
- Flows beyond the cache (64 Ki, 512 Ki) measure memory more than programs, most of all in a virtual
  machine, where a miss in the TLB walks two tables.
- With retpolines (`spectre_v2` in `benchmark.json`) every indirect call of the kernel inside a
  helper is slow.
"""),
    "endtoend": ("End to end", """
Real connections from a client through a node to two backends, each a network namespace, between
them veth devices. Every candidate has a set of namespaces of its own, idle while others are
measured; their order changes from round to round. `direct` is routed by the node, the client draws
the backend itself; `nft-numgen` and `nft-jhash` are nftables DNAT by a map over random numbers and
over a hash of the client's address and port, with connection tracking as it comes; `haproxy` is
HAProxy in TCP mode with weights and two threads; `sluice-tc` and `sluice-xdp` are the agent with
the rules that a user would write. All split 90 to 10 between two versions, one endpoint each. In
every round each version's answers must be within four standard deviations of its weight and no
connection may fail, or the run is void.

Rows: `connect`, new connections a second (connect, one byte each way, close), several in flight;
`cpu`, the time that all CPUs of the machine were busy for one such connection; `p50`, `p99`, one
byte there and back on one connection, everything on one CPU; `p50-64`, `p99-64`, the same on 64
connections at once; `throughput`, iperf3, one stream.
""", """
- In: client, server and node share the machine's cores, and the client's and the servers' work is
  in every figure, the same for all candidates. So ratios between candidates are nearer to 1 than
  those of the nodes alone would be.
- Candidates of tc and of the stack keep the devices' offloads, as they come. XDP on veth sees bytes
  as the sender leaves them: the sender's checksum and segmentation offloads are off and the
  receiver polls. `direct-plain` is direct routing with those settings: the reference for
  `sluice-xdp`, above all for its throughput.
- Out: network cards, their drivers and interrupts; a second node.
"""),
    "control": ("Control", """
How long a change takes, whoever makes it. "Start to exit" is a whole process, from spawning it to
its end, with the state folder written and synced. "Start to new connections on the new split" ends
when a prober, which feeds SYNs to the pinned program with `BPF_PROG_RUN`, has seen the new split
obeyed. In-process rows leave the process, the lock and the disk out. `start/adopt` is the agent,
killed and started again, until it says that it is ready. nftables is changed by `nft -f` with one
transaction: `nft/dnat` is a rule to one endpoint for each service, without a split; `nft/rule` a
rule an endpoint with its share; `nft/map` a map to a chain a service. HAProxy's weights are set
through its runtime socket, many in one line.
""", """
- In: process start, dynamic linking, reading and checking the input, the maps' system calls, the
  disk's sync (of the machine's own disk: a slow one shows here).
- Out: the time until other nodes follow; nothing of an API server is in any row.
- A service of Sluice's rows has two versions of two endpoints each. All services get another split
  by `apply`, so nothing is saved by what did not change.
"""),
    "fidelity": ("Fidelity", """
How near the slots of a table are to the weights, and how many change hands when weights change:
pure code, the same rows on every machine. Tables have 16,384 slots, the agent's default. Weights
are drawn evenly from 0 to 100. The minimum is what the numbers of slots make necessary: the sum of
their increases; it is counted from the exact shares and is the same for all three designs. Each row
of movement is 1,000 random changes whose minimum is not 0.

""" + lines_table("changes", "what is drawn", (
    ("`canary`", "weights in per cent, none but the stable version's more than an even part of the "
     "whole (100 / (versions − 1)); weight moves between the stable version and one other"),
    ("`stable-one`", "any weights; weight moves between the stable version and one other"),
    ("`any-two`", "any weights; weight moves between any two"),
    ("`one-grows`", "any weights; one grows, the others' weights stay (so all other shares fall)"),
    ("`any`", "any weights before, any weights after"),
)) + """
Weighted Maglev and weighted rendezvous hashing were written for this benchmark from their papers,
on tables of the same size; their hashes are drawn anew after every 50 changes. Maglev's orders are
shuffles instead of offset and step, for the size is no prime; with an offset and an odd step the
rows are the same within a hundredth.

`ring` rows are keys that move inside one version when one of its endpoints leaves or joins (the
same two rings either way): 100 sets of addresses, against the fair share of that endpoint. A ring's
size follows the number of endpoints, and where it changes nearly all keys move: 10 times the
minimum with 11 endpoints is 10 keys of 11. Live connections stay all the same.
""", """
- In: the functions that fill the agent's tables (`user/plan/slots.c`, `user/plan/ring.c`), and the
  one that finds a key's place in a ring (`bpf/pick.h`).
- Out: live connections. None moves when a table or a ring changes; these rows are about where the
  next connection of a key goes.
- A rival's movement below 1.0 × the minimum is possible: its shares are not the exact ones, so it
  need not move what exact shares make necessary.
"""),
    "memory": ("Memory", """
What the kernel says that each pinned map takes (`bytes_memlock`). `setting/…` and
`flows/…` are what one more of each size costs, used or not, for tables are made whole at
the start: the difference of two loads with two sizes, divided by the difference of the sizes.
`use/…` is what services and hot revisions take beyond that. `agent/…` is the agent's size with so
many services, `apply/peak` the greatest that `sluice apply` had.
""", """
- In: buckets, free lists and per-CPU copies of maps, as the kernel charges them.
- Out: the programs and their BTF.
- A service has two versions of two endpoints each.
- The agent's `rss` has mapped tables and libraries in it, `pss` shares them out among the processes
  that have them, `anonymous` is its own memory alone.
"""),
}

STATES = {"held": "held", "MISSED": "**MISSED**", "not measured": "not measured"}


def number(value):
    """Three digits and a bit, as a reader wants them."""
    if value is None:
        return ""
    size = abs(value)
    if float(value).is_integer() and size < 1e15:
        return f"{int(value):,}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.995 else f"{value:.3g}"


def ratio(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def spread(result):
    """Median, and the range when rounds differ."""
    text = number(result["median"])
    if result["min"] != result["max"]:
        text += f" ({number(result['min'])} to {number(result['max'])})"
    return text


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |",
             "|" + "|".join("---:" if title in RIGHT else "---" for title in head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


RIGHT = {"median", "range", "mean", "worst", "load", "seconds", "rounds", "Sluice", "Maglev",
         "rendezvous", "Sluice > 2", "Maglev > 2", "rendezvous > 2"}


def values_of(parts, key):
    """What the parts' machines say of themselves, each once."""
    seen = []
    for part in parts.values():
        value = str(part["machine"].get(key, "unknown"))
        if value not in seen and value != "unknown":
            seen.append(value)
    return "; ".join(seen) or "unknown"


def machine_section(merged):
    parts = merged["parts"]
    rows = [(name, part["date"], str(part["machine"].get("source", "unknown")),
             number(part.get("rounds")), number(part.get("seconds")),
             number(part["machine"].get("load"))) for name, part in parts.items()]
    return "\n".join([
        f"Machine: {values_of(parts, 'cpu')}, {values_of(parts, 'cores')} cores, "
        f"{values_of(parts, 'architecture')}. Kernel: {values_of(parts, 'kernel')}. "
        f"Compilers: {values_of(parts, 'compiler')}.", "",
        table(("part", "date", "commit", "rounds", "seconds", "load"), rows), ""])


def targets_section(results):
    states = [result["state"] for result in results]
    count = ", ".join(f"{states.count(state)} {state}" for state in STATES if state in states)
    rows = []
    for result in results:
        target = result["target"]
        measured = spread(result) if "median" in result else ""
        if measured and not target.unit.startswith("×"):
            measured += f" {target.unit}"
        rows.append((target.title, f"{target.sense} {number(target.limit)} {target.unit}",
                     measured, STATES[result["state"]]))
    lines = ["## What was wanted, and what came out", "", f"{count[0].upper()}{count[1:]}.", "",
             table(("target", "wanted", "measured", "result"), rows), ""]
    for state, title in (("MISSED", "Missed, and why"), ("not measured", "Not measured, and why")):
        chosen = [result for result in results if result["state"] == state]
        if chosen:
            lines += [f"### {title}", ""]
        for result in chosen:
            target = result["target"]
            measured = f", measured {spread(result)}" if "median" in result else ""
            lines += [f"**{target.title}** (wanted {target.sense} {number(target.limit)} "
                      f"{target.unit}{measured}). {result['why'] or 'No reason written yet.'}", ""]
    return "\n".join(lines)


def against(row, by_id):
    """How a row compares with the one that it names, round by round."""
    other = by_id.get(row.get("against"))
    if not other:
        return ""
    each = sorted(a / b for a, b in zip(row["rounds"], other["rounds"]) if b)
    middle = (each[(len(each) - 1) // 2] + each[len(each) // 2]) / 2 if each else 0
    return f"{number(middle)} × `{other['id']}`"


def rows_table(part):
    """Any part's rows."""
    by_id = {row["id"]: row for row in part["rows"]}
    has_against = any("against" in row for row in part["rows"])
    rows = []
    for row in part["rows"]:
        way = f", {row['way']}" if row.get("way") not in (None, "floors") else ""
        cells = [f"`{row['id']}`", row["sentence"] + way, row["unit"], number(row["median"]),
                 f"{number(row['min'])} to {number(row['max'])}"]
        rows.append(cells + [against(row, by_id)] if has_against else cells)
    return table(("row", "what", "unit", "median", "range") +
                 (("beside",) if has_against else ()), rows)


DESIGNS, DESIGNS_HEAD = ("sluice", "maglev", "rendezvous"), ("Sluice", "Maglev", "rendezvous")


def over_twice(row):
    return f"{100 * row['over_twice']:.1f} %" if row else ""


def movement_table(by_id):
    """Three designs a line: mean and worst."""
    rows = []
    for row_id in by_id:
        if not row_id.startswith("movement/") or not row_id.endswith("/sluice"):
            continue
        _, kind, count, _ = row_id.split("/")
        cells = [f"`{kind}`", count]
        for design in DESIGNS:
            row = by_id.get(f"movement/{kind}/{count}/{design}")
            cells.append(f"{ratio(row['mean'])}, {ratio(row['max'])}" if row else "")
        cells += [over_twice(by_id.get(f"movement/{kind}/{count}/{design}"))
                  for design in DESIGNS]
        rows.append(cells)
    return table(("changes", "versions") + DESIGNS_HEAD +
                 tuple(f"{name} > 2" for name in DESIGNS_HEAD), rows)


def fidelity_tables(part):
    by_id = {row["id"]: row for row in part["rows"]}
    rest = [(f"`{row['id']}`", row["sentence"], row["unit"], ratio(row["mean"]), ratio(row["max"]))
            for row in part["rows"] if not row["id"].startswith("movement/")]
    return "\n".join([
        "Movement in multiples of the minimum: mean, worst; then the share of the changes that "
        "moved more than twice the minimum.", "", movement_table(by_id), "",
        table(("row", "what", "unit", "mean", "worst"), rest)])


def endtoend_table(part):
    """A line a candidate, a column a measure."""
    measures, lines = {}, {}
    for row in part["rows"]:
        candidate, measure = row["id"].split("/", 1)
        measures[measure] = f"`{measure}`, {row['unit']}"
        lines.setdefault(candidate, {})[measure] = spread(row)
    return table(("candidate", *measures.values()),
                 [[f"`{candidate}`"] + [cells.get(measure, "") for measure in measures]
                  for candidate, cells in lines.items()])


TABLES = {"endtoend": endtoend_table, "fidelity": fidelity_tables}


def part_section(name, part):
    title, measures, leaves_out = ABOUT[name]
    lines = [f"## {title}", "", measures.strip(), "", f"![{title}](benchmark-{name}.svg)", "",
             "What is in the figures, and what is not:", "", leaves_out.strip(), "",
             TABLES.get(name, rows_table)(part), ""]
    for skip in part.get("skipped", []):
        lines += [f"Left out: `{skip['id']}`: {skip['why']}", ""]
    return "\n".join(lines)


def page(merged, results):
    sections = [HEAD + (QUICK if merged["quick"] else ""), machine_section(merged),
                targets_section(results)]
    sections += [part_section(name, part) for name, part in merged["parts"].items()]
    return "\n".join(sections).rstrip("\n") + "\n"
