#!/usr/bin/env python3
"""Takes every kernel, with every set of constants that is in use, to other compilers and drivers; writes
docs/results/portability.md.

Usage: cargo build --release && tests/portability/run.py [--program FILE]

- naga (`cargo install naga-cli --version 30.0.1`) translates to SPIR-V, Metal's language, HLSL and GLSL;
- spirv-val (Debian: spirv-tools) validates the SPIR-V for Vulkan 1.1;
- `holdfast doctor` runs all checks on every Vulkan driver that is found here, and on SwiftShader (in Debian's chromium);
- Chromium compiles everything with its own compiler in a headless page, and runs one kernel.

What is missing here is said in the table. Exits with 1 if anything failed.
"""

import argparse
import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
SWIFTSHADER = pathlib.Path("/usr/lib/chromium/vk_swiftshader_icd.json")
TARGETS = {"SPIR-V": "spv", "Metal": "metal", "HLSL": "hlsl", "GLSL": "comp"}

rows, failures = [], []


def row(what, by, result, failed=()):
    rows.append((what, by, result))
    failures.extend(failed)
    print(f"{what}, {by}: {result}", *failed[:5], sep="\n  ")


def program(*arguments, environment=None, check=True):
    found = subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, env=os.environ | (environment or {}), timeout=1800
    )
    if check and found.returncode != 0:
        raise SystemExit(found.stderr)
    return found


def doctor(device, environment=None, *more):
    found = program("doctor", "--device", device, "--json", "--quiet", *more, environment=environment, check=False)
    if found.returncode not in (0, 4):
        raise SystemExit(found.stderr)
    return json.loads(found.stdout)


def all_pipelines(examined, sources):
    """The compiled pipelines of the kernels, probes left out, and the same with the workgroups of a GPU where a driver in
    software took smaller ones."""
    pipelines = {(each["kernel"], tuple(sorted(each["constants"].items()))) for each in examined["pipelines"]}
    pipelines = {(kernel, constants) for kernel, constants in pipelines if kernel in sources}
    for kernel, constants in list(pipelines):
        constants = dict(constants)
        if constants.get("WORKGROUP_SIZE") == 8:
            pipelines.add((kernel, tuple(sorted((constants | {"WORKGROUP_SIZE": 64}).items()))))
    return sorted(pipelines)


def all_sources():
    families = json.loads(program("explain", "--json").stdout)
    explained = [json.loads(program("explain", family, "--json", "--device", "cpu").stdout) for family in families]
    return {kernel["kernel"]: kernel["wgsl"] for family in explained for kernel in family["kernels"]}


def translate(pipelines, sources):
    naga = shutil.which("naga")
    if not naga:
        return row("translation", "naga", "naga is not installed")
    version = subprocess.run([naga, "--version"], capture_output=True, text=True).stdout.strip()
    version = f"naga {version}"
    validator = shutil.which("spirv-val")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, suffix in TARGETS.items():
            failed = []
            for number, (kernel, constants) in enumerate(pipelines):
                source, target = folder / f"{kernel}.wgsl", folder / f"{number}.{suffix}"
                source.write_text(sources[kernel])
                overrides = [part for key, value in constants for part in ("--override", f"{key}={value}")]
                entry = ["--entry-point", "main", "--profile", "es310"] if suffix == "comp" else []
                found = subprocess.run(
                    # 1.3 is what Vulkan 1.1 takes, and the first that knows subgroups.
                    [naga, source, target, "--shader-model", "60", "--spirv-version", "1.3", *overrides, *entry],
                    capture_output=True,
                    text=True,
                )
                if found.returncode != 0 or not target.is_file():
                    failed.append(f"{name} {kernel} {dict(constants)}: {found.stderr.strip()[:300]}")
            row(f"to {name}", version, f"{len(pipelines) - len(failed)} of {len(pipelines)}", failed)
        if not validator:
            return row("SPIR-V validated", "spirv-val", "spirv-val is not installed")
        files = sorted(folder.glob("*.spv"))
        failed = []
        for file in files:
            found = subprocess.run([validator, "--target-env", "vulkan1.1", file], capture_output=True, text=True)
            if found.returncode != 0:
                kernel, constants = pipelines[int(file.stem)]
                failed.append(f"spirv-val {kernel} {dict(constants)}: {(found.stdout + found.stderr).strip()[:300]}")
        version = subprocess.run([validator, "--version"], capture_output=True, text=True).stdout.split("\n")[0]
        row("SPIR-V validated", version, f"{len(files) - len(failed)} of {len(files)}", failed)


def summary(examined):
    device = examined["device"]
    kernels = examined["kernels"]
    failed = [f"{device['name']}: {kernel['kernel']}: {kernel['failure']}" for kernel in kernels if kernel["failed"]]
    failed += [f"{device['name']}: {each['group']}: {each['error']}" for each in examined["broken"]]
    worst = max(kernel["share"] if kernel["share"] is not None else float("inf") for kernel in kernels)
    cases = sum(kernel["cases"] for kernel in kernels)
    passed = cases - sum(kernel["failed"] for kernel in kernels)
    loops = "" if examined["loop_limit"] is None else "; the driver cuts loops short after 65,535"
    return f"{passed} of {cases} cases, at most {100 * worst:.0f} % of a tolerance{loops}", failed


def check_devices():
    found = [("", None, adapter["index"]) for adapter in json.loads(program("devices", "--json").stdout)["adapters"]]
    if SWIFTSHADER.is_file():
        found.append(("SwiftShader", {"VK_DRIVER_FILES": str(SWIFTSHADER), "VK_ICD_FILENAMES": str(SWIFTSHADER)}, 0))
    else:
        row("all checks", "SwiftShader", f"{SWIFTSHADER} is not there")
    for _, environment, index in found:
        for options in [[], ["--checked-shaders"]]:
            examined = doctor(str(index), environment, *options)
            device = examined["device"]
            row("all checks", f"{device['name']}; {device['driver']}; {device['variant']}", *summary(examined))
    examined = doctor("cpu")
    row("all checks", f"{examined['device']['name']}, {examined['device']['variant']}", *summary(examined))


def known_answers():
    """The published words, read from the program's own text, so that they stand in one place."""
    text = (ROOT / "src/check/recorded.rs").read_text()
    block = text[text.index("const PHILOX") :]
    block = block[block.index("= [") : block.index("];")].replace("u32::MAX; 4", ", ".join(["0xffffffff"] * 4))
    block = block.replace("u32::MAX; 2", ", ".join(["0xffffffff"] * 2)).replace("0; 4", "0, 0, 0, 0").replace("0; 2", "0, 0")
    numbers = [int(word.replace("_", ""), 0) for word in re.findall(r"0x[0-9a-f_]+|\b0\b", block)]
    cases = [numbers[first : first + 10] for first in range(0, len(numbers), 10)]
    code = (ROOT / "shaders/prelude/philox.wgsl").read_text() + (ROOT / "src/check/recorded/philox.wgsl").read_text()
    return {
        "code": code,
        "counters": [word for case in cases for word in case[:4]],
        "keys": [word for case in cases for word in case[4:6]],
        "words": [word for case in cases for word in case[6:]],
    }


def browse(pipelines, sources):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        return row("compiled by the browser", "Chromium", "chromium is not installed")
    kernels = [{"kernel": kernel, "constants": dict(constants)} for kernel, constants in pipelines]
    content = json.dumps({"pipelines": kernels, "sources": sources, "philox": known_answers()}).encode()
    answer, arrived = {}, threading.Event()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/kernels.json":
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            answer.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=HERE)
    server = http.server.ThreadingHTTPServer(("localhost", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
        page = f"http://localhost:{server.server_port}/page.html"
        browser = subprocess.Popen(
            [chromium, *options, f"--user-data-dir={profile}", page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        arrived.wait(timeout=600)
        browser.terminate()
        browser.wait()
    server.shutdown()
    version = subprocess.run([chromium, "--version"], capture_output=True, text=True).stdout.strip().split(" built")[0]
    by = f"{version}, {answer.get('adapter', 'no adapter')}"
    if not answer:
        return row("compiled by the browser", by, "no answer", ["Chromium gave no answer within ten minutes"])
    failed = [f"Chromium: {failure}" for failure in answer["failures"]]
    skipped = f"; it has no subgroups, which {answer['skipped']} need" if answer.get("skipped") else ""
    row("compiled by the browser", by, f"{answer['compiled']} of {len(kernels)}{skipped}", failed)
    for ran in answer["ran"]:
        wrong = [] if ran["right"] else [f"Chromium: {ran['kernel']} is wrong"]
        row(f"run by the browser: `{ran['kernel']}`", by, "the published words" if ran["right"] else "WRONG", wrong)


def report(pipelines, sources):
    version = program("--version").stdout.strip()
    lines = [
        "# Where the kernels run",
        "",
        f"Written by `tests/portability/run.py`: {version}, {len(sources)} kernels in {len(pipelines)} pipelines (a kernel with "
        "one set of constants): those of a driver in software and those of a GPU. `tests/kernels` runs all checks with the limits "
        "lowered to WebGPU's defaults.",
        "",
        "| what | by | result |",
        "|---|---|---|",
        *(f"| {what} | {by} | {result} |" for what, by, result in rows),
    ]
    lines += ["", "## Failures", "", *(f"- {failure}" for failure in failures)] if failures else []
    (ROOT / "docs/results/portability.md").write_text("\n".join(lines) + "\n")


def main():
    examined = doctor("llvmpipe")
    sources = all_sources()
    pipelines = all_pipelines(examined, sources)
    missing = set(sources) - {kernel for kernel, _ in pipelines}
    failures.extend(f"no check compiles {kernel}" for kernel in sorted(missing))
    check_devices()
    translate(pipelines, sources)
    browse(pipelines, sources)
    report(pipelines, sources)
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "target/release/holdfast")
    PROGRAM = parser.parse_args().program
    main()
