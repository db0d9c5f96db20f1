"""Prints docs/results/performance.md from target/peers/measured.json; called by `run`. No number is typed in here or in
bounds.toml but the goals themselves."""
import json
import re
import tomllib

MEASURED = json.load(open("target/peers/measured.json"))
BOUNDS = tomllib.load(open("benches/peers/bounds.toml", "rb"))
MARGINAL = re.compile(r"decay: ([\d,.]+) \(([\d,.]+) to ([\d,.]+)\) times as long .*?predicts ([\d,.]+) times")
NAMES = {"dnn": "DNN", "cnn8": "CNN, 8 filters", "cnn32": "CNN, 32 filters"}


def section(name):
    """What a section measured, or nothing if it could not be."""
    found = MEASURED["sections"].get(name)
    return None if found is None or "left_out" in found else found


def best(results, tools=("",)):
    """The fastest of others' results among `tools`: (name, median)."""
    others = {
        name: result["median"]
        for name, result in results.items()
        if name != "holdfast" and isinstance(result, dict) and "median" in result and any(tool in name for tool in tools)
    }
    name = min(others, key=others.get)
    return name, others[name]


class Goals:
    """The table of goals, and what is said about those that were not reached."""

    def __init__(self):
        self.rows, self.missed = [], []

    def add(self, name, what, ours, theirs, ratio, goal, reached):
        verdict = {True: "yes", False: "**no**", None: "–"}[reached]
        self.rows.append([what, ours, theirs, ratio, goal, verdict])
        if reached is False:
            self.missed.append((name, what))

    def unmeasured(self, what, goal):
        self.rows.append([what, "not measured", "", "", goal, "–"])


def significant(value, digits=3):
    """Three digits that mean something, without an exponent."""
    if value >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    return f"{value:.{digits}f}" if "e" in text else text


def microseconds(value):
    return f"{significant(value)} µs" if value < 10_000 else f"{significant(value / 1e3)} ms"


def milliseconds(value):
    return f"{significant(value)} ms"


def goals():
    table = Goals()
    processor = section("steps_on_processor")
    for network, tools, least in (("dnn", ("",), 5), ("cnn8", ("torch", "keras"), 8), ("cnn32", ("torch", "keras"), 5)):
        goal = f"{least} times as fast as the best other" + (" of PyTorch and Keras" if network != "dnn" else "")
        what = f"CPU engine, training step of a replica, {NAMES[network]}"
        if processor:
            ours = processor[network]["holdfast"]["median"]
            name, theirs = best(processor[network], tools)
            table.add(
                f"cpu-{network}", what, microseconds(ours), f"{microseconds(theirs)} ({name})",
                f"{theirs / ours:.1f}x", goal, theirs >= least * ours,
            )
        else:
            table.unmeasured(what, goal)
    if growth := section("growth"):
        times = {int(n): result["median"] for n, result in growth.items() if n.isdigit()}
        flat = {n: time for n, time in times.items() if 4 <= n <= 50}
        fast, slow = min(flat, key=flat.get), max(flat, key=flat.get)
        table.add(
            "growth", "CPU engine, time of a replica-step from 4 to 50 replicas, DNN",
            f"{microseconds(flat[fast])} ({fast} replicas)", f"{microseconds(flat[slow])} ({slow} replicas)",
            f"{flat[slow] / flat[fast]:.2f}", "at most 1.10", flat[slow] <= 1.10 * flat[fast],
        )
    if alone := section("one_replica"):
        for network, name in NAMES.items():
            one, two = (alone[network][threads]["median"] for threads in "12")
            table.add(
                f"alone-{network}", f"CPU engine, one replica alone, two threads against one, {name}",
                microseconds(two), microseconds(one), f"{one / two:.2f}x", "at least 1.5x", one >= 1.5 * two,
            )
    if sizes := section("growth_of_sizes"):
        fast = [f"{line['timed']} over {line['over']}" for line in sizes["lines"] if line["grows_faster_than_its_work"]]
        table.add(
            "sizes", "CPU engine, what grows faster than its work by `holdfast bench --growth`",
            ", ".join(fast) or "nothing", "", f"{len(fast)} of {len(sizes['lines'])}", "nothing", not fast,
        )
    software = section("steps_on_software_driver")
    for network, least in (("dnn", 25), ("cnn8", 20), ("cnn32", 10)):
        what = f"GPU engine on Mesa's software driver, training step of a replica, {NAMES[network]}"
        goal = f"{least} times as fast as burn's wgpu back end there"
        others = software and {name: r for name, r in software[network].items() if "wgpu" in name and "median" in r}
        if others:
            ours = software[network]["holdfast"]["median"]
            name, theirs = best(others)
            table.add(
                f"gpu-{network}", what, microseconds(ours), f"{microseconds(theirs)} ({name})",
                f"{theirs / ours:.1f}x", goal, theirs >= least * ours,
            )
        else:
            table.unmeasured(what, goal)
    kernels = section("kernels")
    on_gpu = {name: found for name, found in (kernels or {}).items() if name.startswith("llvmpipe ")}
    for network, most in (("dnn", 4), ("cnn8", 16), ("cnn32", 16)):
        if found := on_gpu.get(f"llvmpipe {network}"):
            launches = found["launches_a_step"]
            table.add(
                f"launches-{network}", f"GPU engine, launches a step of all replicas, {NAMES[network]}",
                f"{launches:.2f}", "", "", f"at most {most}", launches <= most,
            )
    if software:
        found = software["launches"]
        table.add(
            "submissions", f"GPU engine, submissions of {found['steps']} steps of all replicas, DNN",
            str(found["submissions"]), "", "", "one for a chunk of steps", found["submissions"] <= found["steps"] / 8,
        )
    if (found := on_gpu.get("llvmpipe dnn")) and software:
        operations = sum(line["operations"] * line["launches"] for line in found["kernels"] if line["part"] == "training step")
        rate = operations / found["replicates"] / software["dnn"]["holdfast"]["median"] / 1e3
        table.add(
            "matmul", "GPU engine on Mesa's software driver, DNN, whole step against a bare product of matrices",
            f"{rate:.1f} GFLOP/s", f"{found['matmul_gflops']:.1f} GFLOP/s",
            f"{100 * rate / found['matmul_gflops']:.0f} %", "reported", None,
        )
    if rates := section("sweep"):
        sweep, training = rates["sweep"]["median"], rates["training"]["median"]
        table.add(
            "sweep", "CPU engine, the sweep beside training, DNN", f"{sweep:.1f} GFLOP/s", f"{training:.1f} GFLOP/s",
            f"{sweep / training:.2f}", "at least 0.5", sweep >= 0.5 * training,
        )
    # One figure for one quantity: as the paper's comparison says it on its own page.
    said = " ".join(open("docs/results/full-mnist.md").read().split())
    ratio, low, high, arithmetic = MARGINAL.search(said).groups()
    table.add(
        "marginal", "One more operating point: exponential decay trained against stability evaluated, [full MNIST](full-mnist.md)",
        f"{ratio}x ({low} to {high})", f"arithmetic alone: {arithmetic}x", "", "at least 470x",
        float(low.replace(",", "")) >= 470,
    )
    if history := section("sort_and_count"):
        ours, numpy = history["holdfast"]["median"], best(history, ("numpy",))
        table.add(
            "sort-count", "CPU engine, sort and count of 150 epochs x 50 replicas x 900 weights", milliseconds(ours),
            f"{milliseconds(numpy[1])} ({numpy[0]})", f"{numpy[1] / ours:.1f}x", "5 times as fast as NumPy",
            numpy[1] >= 5 * ours,
        )
        if any("torch" in name and "median" in result for name, result in history.items() if isinstance(result, dict)):
            name, torch = best(history, ("torch",))
            table.add(
                "", "the same beside PyTorch", milliseconds(ours), f"{milliseconds(torch)} ({name})",
                f"{torch / ours:.1f}x", "reported", None,
            )
        if "gpu_engine" in history:
            table.add(
                "", "the same, GPU engine on Mesa's software driver", milliseconds(history["gpu_engine"]["median"]), "", "",
                "reported", None,
            )
    if surgeon := section("surgeon"):
        ours, numpy = surgeon["holdfast"]["median"], best(surgeon, ("numpy",))
        table.add(
            "", "CPU engine, the surgeon's moments, paths and order of a 30 x 30 layer, 10 networks, 4,096 images",
            milliseconds(ours), f"{milliseconds(numpy[1])} ({numpy[0]})", f"{numpy[1] / ours:.1f}x",
            "at most 150 ms, 8 times as fast as NumPy", ours <= 150 and numpy[1] >= 8 * ours,
        )
    if large := section("large_histories"):
        large_goals(table, large["benchmarks"])
    if paper:
        table.add(
            "paper", f"`{paper['command']}`", f"{paper['seconds'] / 60:.1f} min", "", "", "at most 6 min",
            paper["seconds"] <= 360,
        )
    commands = ([paper] if paper else []) + ((section("memory") or {}).get("commands", []))
    for run in commands:
        ratio = run["memory_bytes"] / run["predicted_bytes"]
        table.add(
            "memory", f"Memory of `{run['command']}`", f"{run['memory_bytes'] / 1e6:,.0f} MB",
            f"{run['predicted_bytes'] / 1e6:,.0f} MB (`--dry-run`)", f"{ratio:.2f}", "0.8 to 1.2", 0.8 <= ratio <= 1.2,
        )
    return table


def large_goals(table, benchmarks):
    """Pairs of benchmarks: count beside a copy, sort beside rayon's."""

    def find(*words):
        names = [name for name in benchmarks if all(word in name.lower() for word in words)]
        return benchmarks[names[0]] if names else None

    count, copy = find("count", "cpu"), find("count", "copy")
    if count and copy:
        table.add(
            "count", "CPU engine, count of 100 epochs x 1,000,000 weights beside a plain copy of as many bytes",
            milliseconds(count * 1e3), f"{milliseconds(copy * 1e3)} (copy)", f"{copy / count:.2f}", "at least 0.5",
            count <= 2 * copy,
        )
    rank, rayon = find("rank", "cpu"), find("rank", "rayon")
    if rank and rayon:
        table.add(
            "sort", "CPU engine, sort of 1,000,000 (key, index) pairs beside rayon's `par_sort_unstable`",
            milliseconds(rank * 1e3), f"{milliseconds(rayon * 1e3)} (rayon)", f"{rayon / rank:.1f}x", "no slower",
            rank <= rayon,
        )


def print_table(head, rows, right=()):
    print("| " + " | ".join(head) + " |")
    print("|" + "|".join("--:" if column in right else "---" for column in range(len(head))) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def print_steps(title, found):
    print(f"## {title}\nMedians of turns; the ratio is their time over ours.\n")
    for network, name in NAMES.items():
        results = found[network]
        ours = results["holdfast"]["median"]
        rows = [["holdfast", microseconds(ours), ""]]
        for tool, result in results.items():
            if tool != "holdfast" and "median" in result:
                rows.append([tool, microseconds(result["median"]), f"{result['median'] / ours:.1f}x"])
            elif "left_out" in result:
                rows.append([tool, "could not be run here", ""])
        print_table([name, "a step of a replica", "ratio"], rows, right=(1, 2))


def print_growth(found):
    print("## Growth with replicas\nTime of a step of one replica on the CPU engine, DNN.\n")
    times = {n: result["median"] for n, result in found.items() if n.isdigit()}
    print_table(["replicas", *times], [["a step of a replica", *map(microseconds, times.values())]], right=range(1, 99))


def print_sizes(found):
    print(
        "## Growth with every size\nBy `holdfast bench --growth` on the CPU engine: exponents of lines fitted to logarithms, of time and of\n"
        "work (operations, or what is read of a history), over all sizes and over the larger half.\n"
    )
    rows = []
    for line in found["lines"]:
        sizes = [point["size"] for point in line["points"]]
        cells = [f"{line['over']}, {min(sizes):,.0f} to {max(sizes):,.0f}", line["timed"]]
        for part in (line["all_sizes"], line["larger_half"]):
            cells.append(f"{part['time_exponent']:.2f} ± {part['time_exponent_standard_error']:.2f}")
            cells.append(f"{part['work_exponent']:.2f}")
        rows.append([*cells, "**faster than its work**" if line["grows_faster_than_its_work"] else "no faster than its work"])
    print_table(["over", "what", "time", "work", "time, larger half", "work, larger half", "time grows"], rows, right=range(2, 6))


def print_kernels(title, found):
    limits = f"At most {found['peak_gflops']:.0f} GFLOP/s and {found['copy_gbs']:.1f} GB/s of memory"
    if found["matmul_gflops"]:
        limits += (
            f"; {found['matmul_gflops']:.1f} GFLOP/s in a bare product of matrices; "
            f"{found['launch_us']:.1f} µs for a launch with nothing to do"
        )
    print(f"### {title}\n{limits}. {found['replicates']} replicas, batch {found['batch']}.\n")
    rows = []
    for line in found["kernels"]:
        rows.append([
            line["part"], ", ".join(f"`{name}`" for name in line["kernel"].split(" + ")), str(line["launches"]),
            significant(line["operations"] / 1e6), significant(line["bytes"] / 1e6), significant(line["time_us"]),
            significant(line["gflops"], 2), significant(line["gbs"], 2), f"{100 * line['share']:.0f} %", line["bound"],
        ])
    head = ["part", "kernel", "launches", "MFLOP", "MB", "µs", "GFLOP/s", "GB/s", "of the limit", "bound by"]
    print_table(head, rows, right=range(2, 9))


def print_paper(found):
    print("## On paper: what a GPU should reach")
    print(
        "The work of each launch as counted above, divided by what a device does at most; nothing of this was measured on such\n"
        "a device. A launch takes at least its arithmetic or its bytes, whichever is longer, plus what launching costs; one with\n"
        "fewer workgroups than the device has compute units reaches only their share of its arithmetic. Anyone with a GPU can\n"
        "check us: `holdfast bench` measures it, and\n"
        "`holdfast bench --kernels --peak GFLOP/s --bandwidth GB/s --compute-units N` does this arithmetic for it.\n"
    )
    head = ["network", "replicas", *[
        f"{name}: {peak / 1e3:.0f} TFLOP/s, {bandwidth} GB/s, {units} units" for name, (peak, bandwidth, units) in found["classes"].items()
    ]]
    rows = [
        [NAMES[network], replicates, *[f"{microseconds(found[f'{network} {replicates} {name}'])}" for name in found["classes"]]]
        for network in NAMES
        for replicates in ("10", "50")
    ]
    print("At best, a training step of all replicas:\n")
    print_table(head, rows, right=range(1, 9))


def main():
    sections = MEASURED["sections"]
    dates = sorted({found["at"] for found in sections.values()})
    rounds = sorted({found["rounds"] for found in sections.values()})
    print("# Speed")
    print(
        f"Made by `benches/peers/run` on {' and '.join(dates)}, holdfast {MEASURED['holdfast']}, {MEASURED['machine']}; Python "
        f"{MEASURED['python']}.\nMedians of {' or '.join(map(str, rounds))} rounds, ours and theirs in turn. Absolute times belong to "
        "this machine; the ratios travel further.\n\n"
        "A step is one training step of one replica: batch 32, 28 x 28 pixels, Adam; DNN is 784-30x6-10, CNN has four\n"
        "convolutions of 3 x 3 before it. FLOP: 2 for each multiply-add of the definition, by the same rule everywhere.\n"
    )
    table = goals()
    print("## Goals")
    print_table(["what", "ours", "theirs", "ratio", "goal", "reached"], table.rows, right=(1, 3))
    if table.missed:
        print("## What was not reached, and why")
        said = set()
        for name, what in table.missed:
            bound = BOUNDS.get(name, {})
            if name not in said:
                said.add(name)
                print(f"- **{what}.** {bound.get('bound', 'Not yet explained.')} {bound.get('tried', '')}".rstrip())
        print()
    if found := section("steps_on_processor"):
        print_steps("CPU engine beside other tools", found)
    if found := section("steps_on_software_driver"):
        print_steps("GPU engine beside burn, both on Mesa's software Vulkan driver", found)
    if found := section("growth"):
        print_growth(found)
    if found := section("growth_of_sizes"):
        print_sizes(found)
    if found := section("kernels"):
        print(
            "## Each kernel and the machine's limits\n"
            "By `holdfast bench --kernels`. Limits are measured by loops that do nothing else: multiply-adds in registers, a copy\n"
            "that touches as many bytes as the kernel, a launch with nothing to do. The share is the least time by these over the\n"
            "measured one. Bytes count every number once, so a share is the less the more often a kernel reads one again.\n"
        )
        for name, kernels in found.items():
            if isinstance(kernels, dict) and "kernels" in kernels and not name.startswith("paper"):
                device, network = name.split()
                engine = "CPU engine" if device == "cpu" else f"GPU engine on {kernels['device']['name']}"
                print_kernels(f"{engine}, {NAMES[network]}", kernels)
    if found := section("paper"):
        print_paper(found)


main()
