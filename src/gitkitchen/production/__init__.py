"""Production: recipes that the clock runs, and what surrounds a run of an environment."""
