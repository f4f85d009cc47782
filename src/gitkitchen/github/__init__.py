"""The outside world: GitHub's events, artifacts, comments and API, all of it read as hostile input."""
