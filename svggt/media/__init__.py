"""Files, pictures and cameras to frames; knows nothing of models."""
