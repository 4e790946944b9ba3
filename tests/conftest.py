from __future__ import annotations

import signal

import pytest
from forge import Forge, opened
from hypothesis import settings

# Who starts the tests in the background may have it ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples everywhere: a failure belongs to the change that made it. To search further:
# pytest --hypothesis-profile=default --hypothesis-seed=random
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def forge() -> Forge:
    return opened()
