"""Every deliberate defect can still be made: ``make mutants`` runs them."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import patched
from tests.mutants.defects import DEFECTS, Defect


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_its_text_is_there_once(defect: Defect) -> None:
    assert patched(defect)
