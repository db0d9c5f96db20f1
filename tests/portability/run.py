#!/usr/bin/env python3
"""Takes every kernel, with every set of constants that is in use, to other compilers and drivers; writes
docs/results/portability.md.

Usage: cargo build --release && tests/portability/run.py [--program FILE] [PART...]

Parts, in this order; all if none is named. What each found lies in target/portability, and the page is made of all of it:
llvmpipe, swiftshader (with the tape), processor, compilers, browser.

- naga (`cargo install naga-cli --version 30.0.1`) translates to SPIR-V, Metal's language, HLSL and GLSL;
- spirv-val (Debian: spirv-tools) validates the SPIR-V for Vulkan 1.1;
- `holdfast doctor` runs all checks on llvmpipe, on SwiftShader (in Debian's chromium) and on the CPU engine;
- Chromium compiles everything with its own compiler in a headless page, and runs every check there: the page plays what
  `holdfast doctor --tape` asked of its device, and `holdfast doctor --answers` judges what came out.

What is missing here is said in the table. Exits with 1 if anything failed.
"""

import argparse
import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
SWIFTSHADER = pathlib.Path("/usr/lib/chromium/vk_swiftshader_icd.json")
SWIFTSHADER_ALONE = {"VK_DRIVER_FILES": str(SWIFTSHADER), "VK_ICD_FILENAMES": str(SWIFTSHADER)}
TARGETS = {"SPIR-V": "spv", "Metal": "metal", "HLSL": "hlsl", "GLSL": "comp"}

PARTS = ["llvmpipe", "swiftshader", "processor", "compilers", "browser"]
FOLDER = ROOT / "target/portability"
# What `holdfast doctor --tape` writes wants a folder of its own.
TAPE = FOLDER / "tape"

found = {part: {"rows": [], "failures": []} for part in PARTS}


def row(what, by, result, failed=()):
    found[PART]["rows"].append((what, by, result))
    found[PART]["failures"].extend(failed)
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


def compilers(pipelines, sources):
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
                    # 1.3 is what Vulkan 1.1 takes.
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


def of_device(examined):
    device = examined["device"]
    row("all checks", "; ".join(device[what] for what in ["name", "driver", "variant"] if device[what]), *summary(examined))


def llvmpipe():
    examined = doctor("llvmpipe")
    of_device(examined)
    of_device(doctor("llvmpipe", None, "--checked-shaders"))
    sources = all_sources()
    pipelines = all_pipelines(examined, sources)
    missing = set(sources) - {kernel for kernel, _ in pipelines}
    found[PART]["failures"].extend(f"no check compiles {kernel}" for kernel in sorted(missing))
    (FOLDER / "pipelines.json").write_text(json.dumps({"pipelines": pipelines, "sources": sources}))


def swiftshader(*_):
    """The driver that the browser has, too: it takes the same variants of the kernels, so the browser gets its tape."""
    if not SWIFTSHADER.is_file():
        return row("all checks", "SwiftShader", f"{SWIFTSHADER} is not there")
    shutil.rmtree(TAPE, ignore_errors=True)
    of_device(doctor("0", SWIFTSHADER_ALONE, "--tape", TAPE))
    of_device(doctor("0", SWIFTSHADER_ALONE, "--checked-shaders"))


def processor(*_):
    of_device(doctor("cpu"))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the page and the tape, and keeps what the page posts."""

    def __init__(self, *arguments, folder, kernels, answer, arrived, **more):
        self.folder, self.kernels, self.answer, self.arrived = folder, kernels, answer, arrived
        super().__init__(*arguments, directory=HERE, **more)

    def send(self, kind, content):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        if url.path == "/kernels.json":
            self.send("application/json", self.kernels)
        elif url.path == "/tape.jsonl":
            self.send("text/plain", (self.folder / "tape.jsonl").read_bytes())
        elif url.path == "/arrays.bin":
            part = {name: int(value) for name, (value,) in urllib.parse.parse_qs(url.query).items()}
            with (self.folder / "arrays.bin").open("rb") as arrays:
                arrays.seek(part["from"])
                self.send("application/octet-stream", arrays.read(part["bytes"]))
        else:
            super().do_GET()

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/read":
            with (self.folder / "browser.bin").open("ab") as answers:
                answers.write(content)
        else:
            self.answer.update(json.loads(content))
            self.arrived.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def open_page(chromium, port, arrived):
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
        page = f"http://localhost:{port}/page.html"
        browser = subprocess.Popen(
            [chromium, *options, f"--user-data-dir={profile}", page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        arrived.wait(timeout=1800)
        browser.terminate()
        browser.wait()


def browser(pipelines, sources):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium or not (TAPE / "tape.jsonl").is_file():
        return row("compiled by the browser", "Chromium", "chromium is not installed, or there is no tape of SwiftShader")
    kernels = [{"kernel": kernel, "constants": dict(constants)} for kernel, constants in pipelines]
    content = json.dumps({"pipelines": kernels, "sources": sources}).encode()
    answer, arrived = {}, threading.Event()
    (TAPE / "browser.bin").unlink(missing_ok=True)
    handler = functools.partial(Handler, folder=TAPE, kernels=content, answer=answer, arrived=arrived)
    server = http.server.ThreadingHTTPServer(("localhost", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    open_page(chromium, server.server_port, arrived)
    server.shutdown()
    version = subprocess.run([chromium, "--version"], capture_output=True, text=True).stdout.strip().split(" built")[0]
    by = f"{version}, {answer.get('adapter', 'no adapter')}"
    if not answer:
        return row("compiled by the browser", by, "no answer", ["Chromium gave no answer within half an hour"])
    failed = [f"Chromium: {failure}" for failure in answer["failures"]]
    row("compiled by the browser", by, f"{answer['compiled']} of {len(kernels)}", failed)
    if not (TAPE / "browser.bin").is_file():
        return row("all checks, run by the browser", by, "nothing was run", ["Chromium ran no check"])
    judged = doctor("0", SWIFTSHADER_ALONE, "--answers", TAPE / "browser.bin")
    judged["device"]["name"], judged["loop_limit"] = "Chromium", None
    result, wrong = summary(judged)
    row("all checks, run by the browser", by, f"{result}, in {answer['launches']:,} launches", wrong)


def report(pipelines, sources):
    version = program("--version").stdout.strip()
    parts = [json.loads(path.read_text()) for path in (FOLDER / f"{part}.json" for part in PARTS) if path.is_file()]
    rows = [row for part in parts for row in part["rows"]]
    failures = [failure for part in parts for failure in part["failures"]]
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
    return bool(failures)


def main(parts):
    global PART
    FOLDER.mkdir(parents=True, exist_ok=True)
    actions = {"swiftshader": swiftshader, "processor": processor, "compilers": compilers, "browser": browser}
    for PART in parts:
        if PART == "llvmpipe":
            llvmpipe()
        known = json.loads((FOLDER / "pipelines.json").read_text())
        pipelines = [(kernel, [tuple(constant) for constant in constants]) for kernel, constants in known["pipelines"]]
        if PART != "llvmpipe":
            actions[PART](pipelines, known["sources"])
        (FOLDER / f"{PART}.json").write_text(json.dumps(found[PART]))
        failed = report(pipelines, known["sources"])
    raise SystemExit(failed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="of " + ", ".join(PARTS))
    parser.add_argument("--program", default=ROOT / "target/release/holdfast")
    ARGUMENTS = parser.parse_args()
    PROGRAM = ARGUMENTS.program
    main(ARGUMENTS.parts or PARTS)
