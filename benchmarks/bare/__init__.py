"""The same work without GitKitchen: plain scripts, run by path as one process each."""
