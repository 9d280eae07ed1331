"""The status page of the operator's listener: one page, and the stream of events that keeps it up to date.

Its numbers are read from the counters that /metrics shows; nothing can be changed from here.
"""
