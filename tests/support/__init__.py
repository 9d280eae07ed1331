"""What several test files share: the clock that tests move, the scripted upstream, the running gateway."""
