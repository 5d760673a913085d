"""Two runs of the same frames beside each other: figures, views, a report."""
