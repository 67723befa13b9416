"""The model of the protocol: a short search of it, and of two variants that must fail. All of them: `make model`."""

from __future__ import annotations

import pytest
from run_model import missing, verdict


@pytest.mark.parametrize(
    ("options", "errors"),
    [("-DCRASHES=0", 0), ("-DW=5 -DCRASHES=0", 1), ("-DFRESH_KEY", 1), ("-DAFTER_TIMEOUT", 1), ("-DRECONNECT", 1)],
)
def test_the_protocol_holds_and_its_variants_do_not(options, errors):
    if missing():
        pytest.skip(f"not installed: {', '.join(missing())}")
    assert verdict(options)[0] == errors
