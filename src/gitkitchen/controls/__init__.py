"""Tests judged, planned and measured: ``judge`` takes declared tests and versions and returns results."""
