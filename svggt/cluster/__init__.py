"""Streams on more than one device, or machine: Ray runs them behind the engine's `Worker`.

The way of a frame: `RayWorker` (in the page's process) finds its stream in the `Directory`, and
sends it to the `StreamActor` there, which has a `LocalWorker`. Where that is lost, the engine's
`RecordedStream` rebuilds the stream on another one. Needs `pip install 'svggt[ray]'`.
"""
