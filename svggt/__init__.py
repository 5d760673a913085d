"""svggt: streaming 4D geometry in a browser. The way of a frame: app -> web -> sessions ->
workers -> stream -> model, and back as a `FramePrediction` into a scene."""
