"""Runs as numbers: what their files say, paired differences, Student's t and Holm's correction. Standard library only."""

import csv
import io
import json
import math
import zipfile
from pathlib import Path

LEVEL = 0.95
# Points of accuracy within which two things count as alike: the loss that protocol.md, section 16, asks for first.
MARGIN = 1
# Epochs of exponential decay for each target, the paper's.
DECAY_EPOCHS = 3


def log_beta(a, b):
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def incomplete_beta(a, b, x):
    """The regularised incomplete beta function, by its continued fraction (Lentz; Abramowitz & Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)) / a
    tiny, c, d = 1e-300, 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    result = d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + term * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + term / c
            c = c if abs(c) > tiny else tiny
            result *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * result


def two_sided(t, freedom):
    """How probable a value of Student's t at least as far from 0 is."""
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) if math.isfinite(t) else 0.0


def student(freedom, level=LEVEL):
    """The t that holds `level` of Student's distribution between it and its negative, by bisection."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if two_sided(middle, freedom) > 1 - level else (low, middle)
    return (low + high) / 2


class Difference:
    """Mean of paired differences in points, its 95 % interval and its p; of replicas that both sides have."""

    def __init__(self, ours, theirs):
        values = [100 * (ours[replica] - theirs[replica]) for replica in sorted(ours.keys() & theirs.keys())]
        self.n = len(values)
        self.holm = False
        self.mean = sum(values) / self.n if values else None
        self.half = self.p = None
        if self.n > 1:
            variance = sum((value - self.mean) ** 2 for value in values) / (self.n - 1)
            error = math.sqrt(variance / self.n)
            self.half = student(self.n - 1) * error
            if error > 0:
                self.p = two_sided(self.mean / error, self.n - 1)
            else:
                self.p = 0.0 if self.mean else 1.0

    def told_apart(self):
        """Whether the interval leaves out 0."""
        return self.half is not None and abs(self.mean) > self.half

    def loses_less(self, points=MARGIN):
        """Whether the whole interval lies above a loss of so many points."""
        return self.half is not None and self.mean - self.half > -points

    def is_alike(self):
        """Whether the whole interval lies within the margin."""
        return self.half is not None and abs(self.mean) + self.half < MARGIN

    def __str__(self):
        if self.mean is None:
            return "–"
        half = "" if self.half is None else f" ± {self.half:.2f}"
        text = f"{self.mean:+.2f}{half}".replace("-", "−")
        return f"**{text}**" if self.holm else text


def holm(differences, level=LEVEL):
    """Marks those that stay told apart from 0 when all are looked at together (Holm 1979), and no others."""
    for each in differences:
        each.holm = False
    known = sorted((each for each in differences if each.p is not None), key=lambda each: each.p)
    for place, each in enumerate(known):
        if each.p > (1 - level) / (len(known) - place):
            break
        each.holm = True


def tally(differences):
    """How many are above 0, below 0 and neither, as Holm's correction of their table has marked them."""
    known = [each for each in differences if each.p is not None]
    better = sum(each.holm and each.mean > 0 for each in known)
    worse = sum(each.holm and each.mean < 0 for each in known)
    return better, worse, len(known) - better - worse


# Sparsities of the focus layer that the page speaks of.
SPARSITIES = (0.8, 0.9, 0.95)
# What the page reads of a run, and so what is kept of it: whole files, and columns of tables.
SWEEP = ("layers", "method", "repair", "rule", "window", "epochs", "sparsity", "smaller", "replica", "accuracy", "data_set", "model")
SECONDS = ("train_s", "record_s", "sort_count_s", "calibrate_s", "prune_evaluate_s", "fixed_s", "total_s")
LEDGER = ("layers", "method", "repair", "rule", "replicates", "operating_points", "marginal_ms", *SECONDS)
MANIFEST = ("version", "device", "seeds", "configuration_hash", "data_checksums")
WORKLOAD = ("training_images", "baseline_epochs")
FILES = ("sweep.csv", "ledger.csv", "manifest.json", "subject.json")
# A point of magnitude stability lies where it lies: one as near as this to what is asked for stands for it.
NEAR = 0.02


def is_finished(folder):
    return all((Path(folder) / name).is_file() for name in FILES)


def columns(path, names, wanted=lambda row: True):
    """These columns of the rows of a table that are wanted, as a table."""
    out = io.StringIO()
    with open(path, newline="") as file:
        table = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(filter(wanted, csv.DictReader(file)))
    return out.getvalue()


def is_near(found, sparsity):
    """Whether it is that sparsity. Next to the grid of sparsities one-shot has the points of magnitude stability, a node or more away."""
    return abs(found - sparsity) < 0.0005


def is_read(row):
    """Whether the page may read this row of a sweep: of the focus layer it reads few sparsities."""
    if row["layers"] == "all" or row["method"] == "dense":
        return True
    near = NEAR if row["method"] == "stability" else 0.0005
    return any(abs(float(row["sparsity"]) - each) < near for each in SPARSITIES)


def keep(folder, archive):
    """Keeps what the page reads of a finished run. The same run gives the same bytes."""
    manifest = json.loads((folder / "manifest.json").read_text())
    subject = json.loads((folder / "subject.json").read_text())
    workload = subject.get("workload", subject)
    texts = (
        columns(folder / "sweep.csv", SWEEP, is_read),
        columns(folder / "ledger.csv", LEDGER),
        json.dumps({name: manifest.get(name) for name in MANIFEST}),
        json.dumps({"chance": subject.get("chance"), **{name: workload.get(name) for name in WORKLOAD}}),
    )
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in zip(FILES, texts):
            file.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED, 9)


class Run:
    """One finished comparison, as it was kept."""

    def __init__(self, archive):
        with zipfile.ZipFile(archive) as file:
            sweep, ledger, manifest, subject = (file.read(name).decode() for name in FILES)
        self.rows = list(csv.DictReader(io.StringIO(sweep)))
        self.ledger = list(csv.DictReader(io.StringIO(ledger)))
        self.archive = archive
        self.manifest = json.loads(manifest)
        self.subject = json.loads(subject)
        for row in self.rows:
            row["replica"] = int(row["replica"])
            for name in ("sparsity", "smaller", "accuracy"):
                row[name] = float(row[name])
        self.by = {}
        for row in self.rows:
            self.by.setdefault((row["layers"], row["method"], row["repair"]), []).append(row)
        self.replicas = len({row["replica"] for row in self.rows})
        self.data = self.rows[0]["data_set"]
        self.model = self.rows[0]["model"]
        self.epochs = max(int(row["epochs"]) for row in self.rows if row["method"] == "dense")
        self.images = self.subject.get("training_images")
        self.decay_epochs = self.subject.get("baseline_epochs")

    def title(self):
        data = {"fashion-mnist": "Fashion-MNIST", "mnist": "MNIST", "pr": "PR", "ct": "CT"}.get(self.data, self.data)
        return f"{data}, {self.model.upper()}"

    def size_words(self):
        images = f"{self.images:,} training images, " if self.images else ""
        return f"{images}{self.epochs} epochs, n = {self.replicas}"

    def dense(self, base="last"):
        """Accuracy of the networks as trained, by replica: the last weights or the mean ones."""
        rule = "" if base == "last" else base
        return {
            row["replica"]: row["accuracy"]
            for row in self.rows
            if row["method"] == "dense" and row["rule"] == rule and int(row["epochs"]) == self.epochs
        }

    def at(self, method, rule="", repair="cut", sparsity=None, size=None, window=None):
        """Accuracy by replica of one method, at a sparsity of the focus layer or a size of the whole network."""
        found = {}
        for row in self.by.get(("focus" if size is None else "all", method, repair), ()):
            if row["rule"] != rule or (window is not None and row["window"] != str(window)):
                continue
            if is_near(row["sparsity"], sparsity) if size is None else abs(row["smaller"] / size - 1) < 0.005:
                if row["replica"] in found:
                    place = f"{sparsity:g} of the focus layer" if size is None else f"{size:g}x smaller"
                    raise SystemExit(f"{self.archive}: two rows of {method} {rule} for replica {row['replica']} at {place}; name the window, or"
                                     " ask for a narrower place")
                found[row["replica"]] = row["accuracy"]
        return found

    def stability(self, sparsity=None, size=None):
        """The same of magnitude stability, at each replica's nearest point if that is near enough."""
        wanted = sparsity if size is None else 1 - 1 / size
        found = {}
        for row in self.by.get(("focus" if size is None else "all", "stability", "cut"), ()):
            far = abs((row["sparsity"] if size is None else 1 - 1 / row["smaller"]) - wanted)
            if far < found.get(row["replica"], (NEAR, 0))[0]:
                found[row["replica"]] = (far, row["accuracy"])
        return {replica: accuracy for replica, (_, accuracy) in found.items()}

    def hold(self, rule="frozen-first", **place):
        """The same of holding magnitude, cut, over the last half of the epochs."""
        return self.at("hold", rule, window=self.half_window(), **place)

    def surgeon(self, base="mean", holding=True, **place):
        """The same of a surgeon; the holding one on mean weights is the method that the page was to judge from the start."""
        return self.at("hold-surgeon" if holding else "surgeon", base, "refit", **place)

    def sizes(self):
        """Sizes that the surgeon on the whole network made."""
        return sorted({round(row["smaller"], 1) for row in self.by.get(("all", "hold-surgeon", "refit"), ()) if row["rule"] == "mean"})

    def costs(self, method, rule="", repair="cut", layers="all"):
        """The line of the ledger, as numbers; nothing where it lacks seconds."""
        for row in self.ledger:
            if (row["layers"], row["method"], row["rule"], row["repair"]) == (layers, method, rule, repair):
                return {name: float(row[name]) if row.get(name) else None for name in ("replicates", "operating_points", "marginal_ms", *SECONDS)}
        return None

    def decay(self, **place):
        """The same of exponential decay, where it had the 3 epochs that the page speaks of."""
        return self.at("decay-batched", "density", **place) if self.decay_epochs == DECAY_EPOCHS else {}

    def half_window(self):
        return max(1, self.epochs // 2)


def least_seconds(known):
    """Seconds that training, and history, Grams, paths and sizes of the headline surgeon, take for one network: the least of runs that do the
    same, since other work on the machine only adds."""
    lines = [costs for run in known if run and (costs := run.costs("hold-surgeon", "mean", "refit")) and costs["total_s"]]
    if not lines:
        return None
    train = min(each["train_s"] / each["replicates"] for each in lines)
    return train, min((each["total_s"] - each["train_s"]) / each["replicates"] for each in lines)


def equal_epochs(known, sizes):
    """For how many epochs decay may train one size in the time of training and surgeon: all of it, and a share for each of `sizes`. An epoch of
    decay is charged what an epoch of training takes, which is less than it does: the doubt is decay's gain."""
    seconds = least_seconds(known)
    if not seconds:
        return None
    epochs = next(run.epochs for run in known if run) * sum(seconds) / seconds[0]
    return {"decay-all": math.ceil(epochs), "decay-share": math.ceil(epochs / sizes)}


def open_run(archive):
    """The run, or nothing if it has not been made."""
    return Run(archive) if archive.is_file() else None


def mean(values):
    values = list(values.values() if isinstance(values, dict) else values)
    return sum(values) / len(values) if values else None


def percent(values, digits=1, of=None):
    """Mean and standard deviation over replicas, in per cent; how many there are where they are fewer than `of`."""
    found = [100 * value for value in (values.values() if isinstance(values, dict) else values)]
    if not found:
        return "–"
    middle = sum(found) / len(found)
    if len(found) == 1:
        return f"{middle:.{digits}f} (n = 1)"
    spread = math.sqrt(sum((value - middle) ** 2 for value in found) / (len(found) - 1))
    fewer = f" (n = {len(found)})" if of and len(found) < of else ""
    return f"{middle:.{digits}f} ± {spread:.{digits}f}{fewer}"


def times(size):
    return f"{size:g}x"
