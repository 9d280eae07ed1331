"""Calls as dialogue: what the client sent, what the upstream was asked, what it said, what the client saw."""
