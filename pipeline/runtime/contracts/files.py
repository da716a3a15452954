"""Where the contracts' files are: in a checkout beside `pipeline/`, in an installed package inside it (setup.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeline.errors import WrongUse

_PACKAGE: Final = Path(__file__).resolve().parents[2]


def contracts_dir(package: Path = _PACKAGE) -> Path:
    """The folder of ``<topic>.avsc``, each contract as it is now."""
    return package / "schemas" if _is_installed(package) else package.parent / "schemas"


def versions_dir(package: Path = _PACKAGE) -> Path:
    """The folder of ``<topic>/v<n>.avsc``, every version of a contract that was ever kept."""
    if _is_installed(package):
        return package / "schemas" / "versions"
    return package.parent / "tests" / "golden" / "schemas"


def require_checkout(action: str, package: Path = _PACKAGE) -> None:
    """Raise WrongUse in an installed package: contracts are written where the code is changed."""
    if _is_installed(package):
        raise WrongUse(
            f"{action} writes the files of a checkout; this pipeline is installed in {package}. Run it in the checkout."
        )


def _is_installed(package: Path) -> bool:
    return (package / "schemas").is_dir()
