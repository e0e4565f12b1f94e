"""ONNX Runtime on one case: prints a line of JSON like torch_worker.py, which makes the network.

    python onnx_worker.py CASE REPEATS
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnxruntime

from timing import report

case, repeats = sys.argv[1], int(sys.argv[2])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("THREADS", os.cpu_count()))
with tempfile.TemporaryDirectory() as folder:
    path = str(Path(folder) / "network.onnx")
    maker = Path(__file__).with_name("torch_worker.py")
    subprocess.run([sys.executable, maker, "export", case, path], check=True, stdout=subprocess.DEVNULL)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
noise = numpy.random.default_rng(0)
feed = {i.name: noise.standard_normal(i.shape, dtype=numpy.float32) for i in session.get_inputs()}
report(case, lambda: session.run(None, feed), repeats)
