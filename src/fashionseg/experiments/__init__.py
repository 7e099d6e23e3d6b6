"""Comparing runs, from their journals alone: no MLflow, no DVC and no network needed."""
