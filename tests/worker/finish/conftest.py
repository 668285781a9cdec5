from __future__ import annotations

import pytest

from tests.worker.finish.drawn_car import DrawnCar, draw_car


@pytest.fixture(scope="session")
def drawn() -> DrawnCar:
    return draw_car()
