# SPDX-License-Identifier: Apache-2.0
"""The drawings of the benchmark: the same figures give the same bytes."""
import io

try:
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator
except ImportError:
    matplotlib = None

SLUICE, SLUICE_LIGHT, RIVAL, FLOOR, INK = "#1f6fb2", "#7fb3dc", "#c26a1c", "#a9b0b7", "#222222"
STYLE = {
    "svg.hashsalt": "sluice", "svg.fonttype": "none", "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "axes.titlesize": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": INK,
    "axes.labelcolor": INK, "text.color": INK, "figure.facecolor": "white",
    "savefig.facecolor": "white", "axes.axisbelow": True, "axes.grid": False,
}


def version():
    return f"matplotlib {matplotlib.__version__}" if matplotlib else None


LINE = 0.25  # inches that a bar takes


def svg(figure):
    """No date, no program's name: what does not follow from the figures changes no byte."""
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None},
                   bbox_inches="tight", pad_inches=0.15)
    pyplot.close(figure)
    # The drawing's lines end with blanks, which git would complain about.
    return b"\n".join(line.rstrip() for line in out.getvalue().split(b"\n"))


SCALES = {
    "ms": ((1e3, 1e-3, "s"), (1, 1, "ms"), (1e-3, 1e3, "µs"), (0, 1e6, "ns")),
    "bytes": ((2 ** 20, 2 ** -20, "MiB"), (2 ** 13, 2 ** -10, "KiB"), (0, 1, "bytes")),
}


def short(value, unit=None):
    """Three digits; with a unit that has scales, in the one that fits."""
    for least, factor, name in SCALES.get(unit, ()):
        if value >= least:
            return f"{short(value * factor)} {name}"
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def axes_at(figure, left, top, width, height):
    """Axes by inches from the figure's left upper corner."""
    wide, high = figure.get_size_inches()
    return figure.add_axes([left / wide, 1 - (top + height) / high, width / wide, height / high])


def bars(axes, rows, labels, colours, is_log=False, lines=None):
    """A bar a row from the top down, its median beside it, the rounds' range as a line on it."""
    places = range(len(rows))
    middles = [row["median"] for row in rows]
    low = [max(row["median"] - row["min"], 0) for row in rows]
    high = [max(row["max"] - row["median"], 0) for row in rows]
    axes.barh(places, middles, color=colours, height=0.72)
    axes.errorbar(middles, places, xerr=[low, high], fmt="none", ecolor=INK, elinewidth=1,
                  capsize=2)
    most = max(row["max"] for row in rows)
    least = min(row["min"] for row in rows)
    if is_log:
        axes.set_xscale("log")
        axes.set_xlim(least / 3 if least > 0 else None, most * 6)
    else:
        axes.set_xlim(min(least, 0), most * 1.18 if most > 0 else 1)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    for place, row in zip(places, rows):
        axes.annotate(short(row["median"], row["unit"] if is_log else None), (row["max"], place),
                      xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(list(places), labels)
    axes.set_ylim((lines or len(rows)) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.grid(True, color="#e4e6e8")


# --- packet ---

FLOWS = ((1, "one flow"), (65536, "64 Ki flows"), (524288, "512 Ki flows"),
         ("always new", "every packet a new flow"))


def packet_label(row):
    text = ("on its way out: " if row["id"].startswith("out/") else "") + row["sentence"]
    for _, flows in FLOWS[:3]:
        text = text.replace(f", {flows}", "")
    return text + (f", {row['way']}" if row["way"] != "floors" else "")


def draw_packet(part):
    rows = [row for row in part["rows"] if not row["id"].endswith("/empty")]
    known = [flows for flows, _ in FLOWS]
    cells = {(door, flows): [row for row in rows
                             if row["program"] == door and row["flows"] == flows]
             for door in ("xdp", "tc") for flows, _ in FLOWS}
    heights = {flows: max(len(cells[door, flows]) for door in ("xdp", "tc")) for flows, _ in FLOWS}
    shown = [(flows, name) for flows, name in FLOWS if heights[flows]]
    figure = pyplot.figure(figsize=(13, sum(LINE * heights[flows] + 0.75 for flows, _ in shown)))
    top = 0
    for flows, name in shown:
        for left, door, title in ((3.2, "xdp", "XDP"), (9.6, "tc", "tc")):
            cell = cells[door, flows]
            if not cell:
                continue
            axes = axes_at(figure, left, top + 0.3, 3.2, LINE * heights[flows])
            # As many lines as the neighbour has: bars are as thick in both.
            bars(axes, cell, [packet_label(row) for row in cell],
                 [SLUICE if "verdict" in row else FLOOR for row in cell], lines=heights[flows])
            axes.set_title(f"{title} door, {name}: ns a packet, net", loc="left")
        top += LINE * heights[flows] + 0.75
    return svg(figure)


# --- end to end ---

PANELS = {
    "connect": "new connections/s (more is better)",
    "cpu": "CPU of a connection, µs (less is better)",
    "throughput": "throughput, Gbit/s (more is better)",
    "p50": "there and back, p50, µs",
    "p99": "there and back, p99, µs",
    "p50-64": "64 at once, p50, µs",
    "p99-64": "64 at once, p99, µs",
}


def candidate_colour(name):
    if name.startswith("sluice"):
        return SLUICE
    return FLOOR if name.startswith("direct") else RIVAL


def draw_endtoend(part):
    panels = {}
    for row in part["rows"]:
        candidate, measure = row["id"].split("/", 1)
        panels.setdefault(measure, []).append((candidate, row))
    names = [name for name in PANELS if name in panels]
    names += [name for name in panels if name not in PANELS]
    columns = 3
    lines = -(-len(names) // columns)
    most = max(len(panel) for panel in panels.values())
    figure, grid = pyplot.subplots(lines, columns, squeeze=False,
                                   figsize=(14, lines * (0.27 * most + 0.8)),
                                   gridspec_kw={"wspace": 0.38, "hspace": 0.35})
    for place, axes in enumerate(grid.flat):
        if place >= len(names):
            axes.set_visible(False)
            continue
        panel = panels[names[place]]
        bars(axes, [row for _, row in panel], [candidate for candidate, _ in panel],
             [candidate_colour(candidate) for candidate, _ in panel])
        axes.set_title(PANELS.get(names[place], names[place]), loc="left")
    return svg(figure)


# --- control and memory ---

def owner_colour(row_id):
    return RIVAL if row_id.split("/")[0].startswith(("nft", "haproxy")) else SLUICE


IN_UNIT = {"us": ("ms", 1e-3), "µs": ("ms", 1e-3), "KiB": ("bytes", 1024), "kB": ("bytes", 1024),
           "MiB": ("bytes", 1048576)}


def in_unit(row):
    """The row in the unit that its drawing has for all."""
    unit, factor = IN_UNIT.get(row["unit"], (row["unit"], 1))
    return {**row, "unit": unit, **{key: row[key] * factor for key in ("median", "min", "max")}}


def draw_log(part):
    """A panel a unit; bars over several powers of ten."""
    units = {}
    for row in map(in_unit, part["rows"]):
        if row["median"] > 0:
            units.setdefault(row["unit"], []).append(row)
    figure = pyplot.figure(figsize=(10, sum(LINE * len(rows) + 0.75 for rows in units.values())))
    top = 0
    for unit, rows in units.items():
        axes = axes_at(figure, 2.5, top + 0.3, 7, LINE * len(rows))
        bars(axes, rows, [row["id"] for row in rows], [owner_colour(row["id"]) for row in rows],
             is_log=True)
        has_rivals = any(owner_colour(row["id"]) == RIVAL for row in rows)
        axes.set_title(f"{unit}, logarithmic (less is better)" +
                       ("; orange: nftables and HAProxy" if has_rivals else ""), loc="left")
        top += LINE * len(rows) + 0.75
    return svg(figure)


# --- fidelity ---

DESIGNS = {"sluice": ("Sluice", SLUICE, "o"), "maglev": ("weighted Maglev", RIVAL, "s"),
           "rendezvous": ("weighted rendezvous", "#5b8c3e", "^")}
KINDS = {
    "canary": "stable and one other, a canary's weights",
    "stable-one": "stable and one other, any weights",
    "any-two": "any two, any weights",
    "one-grows": "one grows, others' weights stay",
    "any": "all weights drawn anew",
}


def draw_movement(axes, kind, by_id):
    for design, (name, colour, mark) in DESIGNS.items():
        rows = [(count, by_id[f"movement/{kind}/{count}/{design}"]) for count in range(2, 9)
                if f"movement/{kind}/{count}/{design}" in by_id]
        counts = [count for count, _ in rows]
        axes.plot(counts, [row["mean"] for _, row in rows], color=colour, marker=mark,
                  markersize=4, label=f"{name}, mean")
        axes.plot(counts, [row["max"] for _, row in rows], color=colour, linestyle=":",
                  linewidth=1, label=f"{name}, worst")
    axes.set_title(KINDS[kind], loc="left")
    axes.set_xlabel("versions")
    axes.set_ylabel("moved slots / minimum")
    axes.set_ylim(0.9, 4.2)
    axes.yaxis.grid(True, color="#e4e6e8")


def draw_shares(axes, by_id):
    counts = (2, 3, 8)
    for place, (design, (name, colour, _)) in enumerate(DESIGNS.items()):
        there = [(line, by_id[f"share/{count}/{design}"]) for line, count in enumerate(counts)
                 if f"share/{count}/{design}" in by_id]
        rows = [row for _, row in there]
        at = [line + (place - 1) * 0.27 for line, _ in there]
        axes.bar(at, [row["max"] for row in rows], width=0.25, color=colour, label=name)
        for x, row in zip(at, rows):
            axes.annotate(short(row["max"]), (x, row["max"]), xytext=(0, 2),
                          textcoords="offset points", ha="center", fontsize=8)
    axes.axhline(1, color=INK, linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.set_ylim(0.2, 600)
    axes.set_xticks(range(len(counts)), [f"{count} versions" for count in counts])
    axes.set_title("share error in slots, worst (wanted: below 1)", loc="left")


def draw_fidelity(part):
    by_id = {row["id"]: row for row in part["rows"]}
    figure, grid = pyplot.subplots(2, 3, figsize=(14, 7.6),
                                   gridspec_kw={"wspace": 0.25, "hspace": 0.35})
    for axes, kind in zip(grid.flat, KINDS):
        draw_movement(axes, kind, by_id)
    draw_shares(grid[1][2], by_id)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncol=3, frameon=False,
                  bbox_to_anchor=(0.5, 0.98))
    return svg(figure)


DRAWINGS = {"packet": draw_packet, "endtoend": draw_endtoend, "control": draw_log,
            "fidelity": draw_fidelity, "memory": draw_log}


def draw_all(parts):
    """File name to bytes."""
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE, "backend": "svg"}):
        return {f"benchmark-{name}.svg": DRAWINGS[name](part) for name, part in parts.items()}
