"""Evaluation against ground truth, each one command: `python -m svggt.eval NAME`."""
