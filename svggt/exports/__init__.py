"""What can be taken away of a run; `exporter` has the formats, in which others read it."""
