"""1,000 tasks that do nothing, for each peer; run by path with the peer's own interpreter."""
