"""Production: what surrounds a run of an environment."""
