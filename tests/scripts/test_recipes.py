"""Programs of the documentation that are more than a call are right."""

import re
from pathlib import Path

import numpy as np
import pytest

import jaxem

PAGE = Path(__file__).parents[2] / "scripts" / "docs" / "howto" / "processes.md"


@pytest.mark.slow
def test_em_by_a_mapped_function_is_em():
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S))
    own = {}
    exec(code, own)
    given = {"tol": 1e-9, "acceleration": None}
    expected = jaxem.em(own["model"], own["begin"], own["x"], **given)
    np.testing.assert_allclose(own["total"], expected.log_likelihood, rtol=1e-7)
    found = own["params"].components.means
    np.testing.assert_allclose(found, expected.params.components.means, rtol=1e-4)
    exact = jaxem.log_likelihood(own["model"], own["params"], own["x"])
    np.testing.assert_allclose(own["total"], exact, rtol=1e-12)
