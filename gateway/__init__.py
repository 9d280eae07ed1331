"""An OpenAI-compatible gateway: checks, counts, limits, caches and relays calls byte for byte."""

__version__ = "0.1.0"
