"""Which distributed trace a call belongs to (W3C Trace Context): `from runpod_flash import trace`.

In a function that was called with a `traceparent`, `trace.current()` is that trace, one step further; calls of other functions and
jobs that it makes carry it on by themselves. Elsewhere `with trace.follow(traceparent): …` makes calls part of a trace.
"""

from tetra_rp._trace import TraceContext, current, follow

__all__ = ["TraceContext", "current", "follow"]
