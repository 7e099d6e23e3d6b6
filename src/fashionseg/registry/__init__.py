"""Model registry: the fine-tuned model as an MLflow model, the champion version, and an HTTP server.

    candidate   the trained model with its scores and the hash of the data they were measured on
    photo_model the MLflow model: photo bytes in, JSON out
    store       versions and the alias `champion` in MLflow
    server      inference over HTTP

Registering is a command, not a stage: no stage waits for a server, and DVC's outputs do not depend on one.
"""
