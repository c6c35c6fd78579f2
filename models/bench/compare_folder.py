#!/usr/bin/env python3
"""`salus ai classify DIR` side by side with Pillow and onnxruntime: same images, same weights, same processors, turn by turn.

    cargo build --release
    python3 models/bench/compare_folder.py DIR WEIGHTS.safetensors [--program target/release/salus] [--threads 2] [--rounds 3]

DIR holds images, in folders or not; 1,000 of them are taken (some twice where there are fewer). WEIGHTS are the model's. Pillow
decodes, makes grey and scales as the model's manifest says, on as many threads as there are processors (it lets go of Python's
lock), and onnxruntime classifies in batches of 16 on the same number. The program's time is that of the whole process, its
start and its decoding in child processes among it; onnxruntime's begins when its session is ready. Also measured: one
image from a cold start, and the largest resident memory of program and decoders.
Needs onnxruntime, onnx, numpy, safetensors and Pillow; without them it says so and ends with status 0.
"""

import argparse
import concurrent.futures
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "crates" / "kernels" / "bench"))

try:
    import numpy
    import onnxruntime
    from PIL import Image
    from safetensors.numpy import load_file

    import compare_onnxruntime
except ImportError as missing:
    print(f"SKIPPED: {missing}; pip install onnxruntime onnx numpy safetensors pillow", file=sys.stderr)
    sys.exit(0)

MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
ENDINGS = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
IMAGES = 1000
BATCH = 16


def square(path):
    grey = Image.open(path).convert("L").resize((224, 224), Image.BILINEAR)
    return numpy.asarray(grey, dtype=numpy.float32) / 127.5 - 1


def reference(session, head, paths, pool):
    """Classifies them all; the categories' indices."""
    said = []
    for begin in range(0, len(paths), BATCH):
        squares = numpy.stack(list(pool.map(square, paths[begin : begin + BATCH])))
        batch = numpy.repeat(squares[:, None], 3, axis=1)
        features = session.run(None, {session.get_inputs()[0].name: batch})[0]
        said.extend((features @ head[0].T + head[1]).argmax(axis=1))
    return said


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("weights", type=pathlib.Path)
    parser.add_argument("--program", default="target/release/salus")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()

    paths = sorted(path for path in given.images.rglob("*") if path.suffix.lower() in ENDINGS)
    paths = (paths * (IMAGES // max(1, len(paths)) + 1))[:IMAGES]
    tensors = {name: value.astype(numpy.float32) for name, value in load_file(given.weights).items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = given.threads
    graph = compare_onnxruntime.export(tensors)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    head = tensors["classifier.1.weight"], tensors["classifier.1.bias"]

    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(given.threads) as pool:
        folder = pathlib.Path(folder)
        for number, path in enumerate(paths):
            (folder / f"{number:04}{path.suffix}").symlink_to(path.resolve())
        ours, theirs, single = [], [], []
        for _ in range(given.rounds):
            begun = time.perf_counter()
            reference(session, head, paths, pool)
            theirs.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            command = [given.program, "ai", "classify", str(folder), "--json", "-q"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            ours.append(time.perf_counter() - begun)
            for path in paths[:: len(paths) // 5]:
                begun = time.perf_counter()
                command = [given.program, "ai", "classify", str(path), "--json", "-q"]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                single.append(time.perf_counter() - begun)
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"{len(paths)} images: salus {a:.2f} s, Pillow and onnxruntime {b:.2f} s, ratio {a / b:.2f}")
    print(f"one image from a cold start: median {1000 * statistics.median(single):.0f} ms, least {1000 * min(single):.0f} ms")
    # In an interpreter of its own: a child is charged with what its parent held when it was made.
    measure = [sys.executable, "-c", MEASURE, given.program, "ai", "classify", str(paths[0]), "-q"]
    largest = int(subprocess.run(measure, check=True, capture_output=True, text=True).stdout)
    print(f"one image: largest resident memory of program and decoder {largest / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
