"""Sweeps: Optuna proposes parameters, DVC runs them as experiments, the journals say how they do.

settings    tune.yaml
trial       one experiment: started, watched through its journal, stopped where asked
study       the loop, kept in a database so that it goes on where it stopped
"""
