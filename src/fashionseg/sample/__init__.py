"""The embedded sample: drawn figures in drawn clothes, in Kaggle's layout."""

from fashionseg.sample.layout import write_sample

__all__ = ["write_sample"]
