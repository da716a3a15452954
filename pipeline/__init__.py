"""An open execution pipeline: many small client orders in, exact allocations out."""

from typing import Final

__version__: Final = "0.1.0"
"""The one place: the package, `pipeline --version` and the journal take it from here."""
