"""The scale bar: a round length that fits the scene, in metres where somebody measured."""

from __future__ import annotations

import pytest

from svggt.scene.scale_bar import round_length

METRES = {"km": 1000.0, "m": 1.0, "cm": 0.01, "mm": 0.001, "unit": 1.0, "units": 1.0}


@pytest.mark.parametrize("metres", [None, 0.004, 0.3048, 1.0, 70.0])
@pytest.mark.parametrize("most", [1e-6, 0.07, 0.2, 0.99, 1.0, 3.3, 5.0, 48.0, 2e4])
def test_it_is_round_fits_and_says_how_long_it_is(most: float, metres: float | None) -> None:
    length, text = round_length(most, metres)
    assert 0.39 * most < length <= most * (1 + 1e-9)
    number, unit = text.split()
    assert float(number) * METRES[unit] == pytest.approx(length * (metres or 1.0), rel=1e-6)
    assert float(f"{float(number):.0e}".split("e")[0]) in (1, 2, 5)
