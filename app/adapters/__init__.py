"""One file per outside system. This runs before any of them, because some packages must be told before their import."""

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime reports to its maker since 1.29 and leaves a device id in HOME
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's other threads spin for 2 ms after a product of 0.2 ms
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["MEM0_TELEMETRY"] = "False"
os.environ["MEM0_DIR"] = str(
    Path(__file__).parent / "models" / "mem0_home"
)  # it finds its config.json there and writes no other
