"""Sessions: one visitor's run, scene and recording."""
