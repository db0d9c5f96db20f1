"""Writes a few small valid files for each target into corpus/, for the fuzzer to start from. Needs NumPy."""

import io
import pathlib
import struct

import numpy

HERE = pathlib.Path(__file__).parent
FIXTURES = HERE.parent / "tests" / "fixtures"


def seed(target, name, content):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def saved(save, *arrays, **named):
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def idx(shape, values):
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(values)


images, labels = idx([4, 2, 3], range(24)), idx([4], [0, 1, 0, 1])
seed("idx", "pair", struct.pack("<H", len(images)) + images + labels)

history = numpy.linspace(-1, 1, 24, dtype=numpy.float32).reshape(4, 2, 3)
for kind in ["<f4", ">f8", "<f2"]:
    seed("arrays", f"history{kind[1:]}.npy", saved(numpy.save, history.astype(kind)))
seed("arrays", "fortran.npy", saved(numpy.save, numpy.asfortranarray(history)))
seed("arrays", "stored.npz", saved(numpy.savez, history=history, weights=history[0]))
seed("arrays", "deflated.npz", saved(numpy.savez_compressed, history=history))
header = b'{"history":{"dtype":"F32","shape":[4,2,3],"data_offsets":[0,96]}}'
seed("arrays", "history.safetensors", struct.pack("<Q", len(header)) + header + history.tobytes())

parts = {"images": numpy.zeros((6, 3, 3), numpy.uint8), "labels": numpy.arange(6, dtype=numpy.uint8).reshape(6, 1) % 2}
sets = {f"{part}_{name}": values for part in ["train", "val", "test"] for name, values in parts.items()}
seed("medmnist", "stored.npz", saved(numpy.savez, **sets))
seed("medmnist", "deflated.npz", saved(numpy.savez_compressed, **sets))

for name in ["one_replicate", "two_by_two"]:
    files = [FIXTURES / "statistics" / name / file for file in ["observations.csv", "stable_nodes.csv"]]
    if all(file.is_file() for file in files):
        heads = [b"\n".join(file.read_bytes().splitlines()[:40]) for file in files]
        seed("tables", name, b"\0".join(heads))
