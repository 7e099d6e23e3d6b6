"""The embedded sample: figures in drawn clothes, in exactly Kaggle's layout. Drawn by code, never called real."""

from fashionseg.sample.layout import write_sample

__all__ = ["write_sample"]
