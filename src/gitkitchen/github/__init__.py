"""The outside world: GitHub's API, its events, and a fake of it for tests and simulations."""
