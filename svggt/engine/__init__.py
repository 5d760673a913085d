"""The model at work: weights, devices, streams, and the worker that steps them in turn."""
