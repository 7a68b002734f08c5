"""One file per outside system. Some packages read their configuration on import, so it is set here first."""

import os
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime 1.29 and later sends telemetry and writes a device id to HOME
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # OpenBLAS threads spin for 2 ms after a multiplication of 0.2 ms
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["PYTHON_DOTENV_DISABLED"] = "1"  # pymilvus copies `.env` into the environment, where child processes see it
os.environ["MEM0_TELEMETRY"] = "False"
os.environ["MEM0_DIR"] = str(
    Path(__file__).parent / "models" / "mem0_home"
)  # it finds its config.json there and writes no other
