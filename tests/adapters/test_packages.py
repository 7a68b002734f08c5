"""Configuration that some packages read when they are imported."""

import os
import subprocess
import sys

ALONE = """
import app.adapters
import numpy, psutil
large = numpy.ones((500, 500), numpy.float32)
large @ large
print(psutil.Process().num_threads())
"""


def test_numpy_starts_no_threads() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
