"""The model registry: the fine-tuned model as an MLflow model, its champion, and the server that answers with it.

    candidate   the trained model with the scores and the data that it stands for
    photo_model the MLflow model: photo bytes in, JSON out
    store       versions and the alias `champion` in MLflow
    server      photos over HTTP

Registering is a command of its own, not a stage: no stage waits for a server, and DVC's outputs do not depend on one.
"""
