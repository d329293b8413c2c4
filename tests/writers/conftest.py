from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.writers.processes import Processes


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    with Processes() as started:
        yield started
