"""Claims about svggt. It comes before torch, whose threads wait as it says."""

import svggt as svggt
