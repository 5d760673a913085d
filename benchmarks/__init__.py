"""Speed, measured as ratios in one run. Not tests: nothing here can fail on a slow machine."""

import svggt  # noqa: F401  # first: it says how threads of numpy and torch wait
