"""Ground truth of recorded clips."""
