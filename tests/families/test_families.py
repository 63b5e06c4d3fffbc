"""The laws over the table of families, and what is particular to each."""

import pytest

from families.cases import CASES
from laws.family import check_family


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_laws(case, getkey):
    check_family(case(), getkey())
