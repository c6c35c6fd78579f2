#!/usr/bin/env python3
"""MobileNetV2 of salus-kernels side by side with onnxruntime: same weights, same graph, same threads, turn by turn.

    cargo build --release -p salus-kernels --example speed
    python3 crates/kernels/bench/compare_onnxruntime.py WEIGHTS.safetensors [--program PATH] [--levels avx512,avx2] [--input grey] [--rounds 12]

Needs onnxruntime, onnx, numpy and safetensors; without them it says so and ends with status 0. The weights may be any
file with torchvision's names and batch norm folded. Both sides compute the pooled features [N,1280] of the same input;
with `--input grey` also the last map and the means of four blocks' results, as the image classifier asks for them: ours
from grey bytes, onnxruntime from three equal channels of numbers, which it is given ready.
A round is a few runs of one side and then of the other, after a pause in which spinning threads fall asleep; printed are
the medians and minima over all runs, an image's share where there are several, and the ratio of ours to onnxruntime's.
On a shared machine run it under real-time priority (`chrt -f 10`).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

try:
    import numpy
    import onnx
    import onnxruntime
    from onnx import helper
    from safetensors.numpy import load_file
except ImportError as missing:
    print(f"SKIPPED: {missing}; pip install onnxruntime onnx numpy safetensors", file=sys.stderr)
    sys.exit(0)

STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
FLOPS = 2 * 300_774_272
TAPS = (10, 13, 16, 17)


def value_of(name, shape):
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def export(tensors, grey):
    """The graph with TensorFlow's SAME padding as an ONNX model; with the last map and the taps for grey input."""
    nodes, constants, results = [], [], [value_of("features", ["n", 1280])]

    def convolution(x, name, stride=1, size=224, relu6=True):
        weight, bias = f"{name}.weight", f"{name}.bias"
        for constant in (weight, bias):
            constants.append(onnx.numpy_helper.from_array(tensors[constant].astype(numpy.float32), constant))
        outputs, inputs, kernel, _ = tensors[weight].shape
        pads = [0, 0, 0, 0]
        if kernel == 3:
            total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
            pads = [total // 2] * 2 + [total - total // 2] * 2
        group = outputs if inputs == 1 else 1
        y = f"{name}.y"
        nodes.append(helper.make_node("Conv", [x, weight, bias], [y], kernel_shape=[kernel] * 2, pads=pads,
                                      strides=[stride] * 2, group=group))
        if relu6:
            nodes.append(helper.make_node("Clip", [y, "zero", "six"], [f"{y}6"]))
            y += "6"
        return y

    constants.append(helper.make_tensor("zero", onnx.TensorProto.FLOAT, [], [0.0]))
    constants.append(helper.make_tensor("six", onnx.TensorProto.FLOAT, [], [6.0]))
    x, size = convolution("input", "features.0.0", 2), 112
    inputs, index = 32, 1
    for expansion, outputs, count, first_stride in STAGES:
        for n in range(count):
            stride = first_stride if n == 0 else 1
            name, y, at = f"features.{index}.conv", x, 0
            if expansion > 1:
                y, at = convolution(y, f"{name}.0.0"), 1
            y = convolution(y, f"{name}.{at}.0", stride, size)
            y = convolution(y, f"{name}.{at + 1}", relu6=False)
            if stride == 1 and inputs == outputs:
                nodes.append(helper.make_node("Add", [x, y], [f"{name}.sum"]))
                y = f"{name}.sum"
            size = -(-size // stride)
            if grey and index in TAPS:
                nodes.append(helper.make_node("GlobalAveragePool", [y], [f"tap{index}"]))
                results.append(value_of(f"tap{index}", ["n", outputs, 1, 1]))
            x, inputs, index = y, outputs, index + 1
    x = convolution(x, f"features.{index}.0")
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["features"]))
    if grey:
        results.append(value_of(x, ["n", 1280, 7, 7]))
    graph = helper.make_graph(nodes, "mobilenet-v2", [value_of("input", ["n", 3, 224, 224])], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class Theirs:
    def __init__(self, model, threads, batch, grey):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        if grey:
            n = numpy.arange(224 * 224)
            levels = ((3 * (n % 224) + 5 * (n // 224)) % 256).astype(numpy.float32)
            one = numpy.tile(levels / 127.5 - 1, 3).reshape(1, 3, 224, 224)
        else:
            one = numpy.sin(0.01 * numpy.arange(3 * 224 * 224, dtype=numpy.float32)).reshape(1, 3, 224, 224)
        self.input = {"input": numpy.repeat(one, batch, axis=0)}
        self.features = self.session.run(None, self.input)[0][0]

    def run(self, count):
        times = []
        for _ in range(count):
            start = time.perf_counter_ns()
            self.session.run(None, self.input)
            times.append(time.perf_counter_ns() - start)
        return times


class Ours:
    def __init__(self, program, weights, threads, batch, level, kind):
        command = [program, weights, "--serve", str(threads), str(batch), level, kind]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.features = numpy.array(eval(self.line(), {}, {}), dtype=numpy.float32)
        self.peak = float(self.line())

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("the program ended early")
        return line

    def run(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return eval(self.line(), {}, {})

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(__file__), "../../../target"))
    parser.add_argument("--program", default=os.path.join(target, "release/examples/speed"))
    parser.add_argument("--levels", default="avx512" if "avx512f" in cpu_flags() else "avx2")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--input", choices=["colour", "grey"], default="colour")
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()

    model = export(load_file(given.weights), given.input == "grey")
    print(f"onnxruntime {onnxruntime.__version__}; {given.input} input; milliseconds an image: median (best)")
    for level in given.levels.split(","):
        for batch in map(int, given.batches.split(",")):
            for threads in map(int, given.threads.split(",")):
                compare(given, model, level, batch, threads)


def compare(given, model, level, batch, threads):
    theirs = Theirs(model, threads, batch, given.input == "grey")
    ours = Ours(given.program, given.weights, threads, batch, level, given.input)
    off = float(numpy.abs(theirs.features - ours.features).max())
    runs = max(1, 40 // batch)
    times = {theirs: [], ours: []}
    for side in times:
        side.run(runs)
    for turn in range(given.rounds):
        for side in (theirs, ours) if turn % 2 else (ours, theirs):
            time.sleep(0.05)
            times[side] += side.run(runs)
    ours.close()
    ms = {side: [t / 1e6 / batch for t in sorted(times[side])] for side in times}
    median = {side: statistics.median(ms[side]) for side in times}
    share = FLOPS / (median[ours] / 1e3) / (ours.peak * threads)
    print(f"{level}, batch {batch:2}, {threads} threads: onnxruntime {median[theirs]:.2f} ({ms[theirs][0]:.2f}), "
          f"ours {median[ours]:.2f} ({ms[ours][0]:.2f}), ratio {median[ours] / median[theirs]:.2f} "
          f"({ms[ours][0] / ms[theirs][0]:.2f}); {share:.0%} of {ours.peak / 1e9:.0f} GFLOP/s a core; "
          f"largest difference {off:.1e}", flush=True)


def cpu_flags():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return file.read().split()
    except OSError:
        return []


if __name__ == "__main__":
    main()
