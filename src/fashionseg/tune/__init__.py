"""Hyperparameter search: Optuna proposes parameters, DVC runs them as experiments, journals report their progress.

settings    tune.yaml
trial       one experiment: started, monitored through its journal, pruned on request
study       the search loop, stored in a database so that it can be resumed
anchors     apart from these: sizes and aspect ratios of the anchors from the training boxes alone
"""
