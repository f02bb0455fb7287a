"""Run every benchmark of this folder, one after the other, each in its own process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Exit code: 0 if every benchmark ended, else 1; one that fails does not stop the rest."""
    failed = [name for name in sorted(names()) if not run(name)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def names() -> list[str]:
    """Modules that are benchmarks of their own: those with a `main`."""
    modules = [p for p in HERE.glob("[a-z]*.py") if "def main(" in p.read_text("utf-8")]
    return [p.stem for p in modules]


def run(name: str) -> bool:
    """Run one benchmark; whether it ended well."""
    print(f"── {name} " + "─" * (60 - len(name)), flush=True)
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
