"""The real SDKs against `gateway serve` in front of the demo upstream, each a process as in production."""
