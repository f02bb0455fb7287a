"""Fresh environments for the tools that benchmarks compare with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

INSTALL_SECONDS = 300


def environment(tool: str, packages: Sequence[str], folder: Path) -> str | None:
    """The Python of a fresh environment with the tool, or None where it cannot be installed.

    `BENCH_<TOOL>_PYTHON` names one that is ready.
    """
    if ready := os.environ.get(f"BENCH_{tool.upper()}_PYTHON"):
        return ready
    python = folder / tool / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", str(folder / tool)], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", *packages]
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=INSTALL_SECONDS)
    except subprocess.CalledProcessError as error:
        print(f"{tool} could not be installed: {error.stderr.decode()[-300:]}")
        return None
    except subprocess.TimeoutExpired:
        print(f"{tool} was not installed within {INSTALL_SECONDS} s")
        return None
    return str(python)
