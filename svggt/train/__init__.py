"""Training: clips rendered on the fly, losses, and what the embedded weights are made by."""
