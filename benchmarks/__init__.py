"""Speed, measured as ratios in one run. Not tests: nothing here can fail on a slow machine."""
