"""Training: the network with its losses as a Keras model, the optimizer, the loop with its state on disk."""
