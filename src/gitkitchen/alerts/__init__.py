"""What went wrong in an environment, told once to whom it concerns, until it is well again."""
