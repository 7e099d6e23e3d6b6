"""The embedded sample: drawn figures in drawn clothes, in Kaggle's layout; `layout.write_sample` writes it."""
