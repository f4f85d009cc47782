"""Measurements of GitKitchen beside bare tools and its peers: ``python -m benchmarks``."""
