"""Runs told to other tools, in their own words: OpenLineage and OpenTelemetry."""
