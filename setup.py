"""What pyproject.toml cannot say: which files outside `pipeline/` a wheel carries, and the commit it was built from.

The code finds them by pipeline/runtime/contracts/files.py and pipeline/runtime/build_info.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = {ROOT / "schemas": "pipeline/schemas", ROOT / "tests/golden/schemas": "pipeline/schemas/versions"}


class BuildWithContracts(build_py):
    """Copies the contracts into the package. An editable installation reads them where they are."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib) / "pipeline"
        # A file that an earlier build left here and that is no longer ours must not get into the wheel.
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        for source, target in SHIPPED.items():
            shutil.copytree(source, Path(self.build_lib) / target)
        (package / "COMMIT").write_text(commit() + "\n", encoding="utf-8")


def commit() -> str:
    """As pipeline/runtime/build_info.py: PIPELINE_COMMIT, else git's, else empty. It cannot be imported to build it."""
    given = os.environ.get("PIPELINE_COMMIT")
    if given:
        return given
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head}+changes" if _git("status", "--porcelain", "--", "pipeline", "schemas") else head
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


setup(cmdclass={"build_py": BuildWithContracts})
