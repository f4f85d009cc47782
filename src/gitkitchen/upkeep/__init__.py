"""Kitchens listed, dropped and cleared up: what nobody needs goes, and nothing else."""
