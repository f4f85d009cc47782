"""The road to production: a proved tree and its data move from environment to environment."""
