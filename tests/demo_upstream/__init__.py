"""The demo upstream's own promises: what it answers, and that it breaks exactly where it is told to."""
