"""Experiments on the model, each one command: `python -m svggt.experiments NAME`."""
