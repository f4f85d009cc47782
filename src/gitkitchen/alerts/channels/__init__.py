"""Where alerts go: one module a kind, each with what it writes (pure) and how that is sent."""
