"""A trained network in one file that needs no TensorFlow: written from a model folder, read by LiteRT."""
