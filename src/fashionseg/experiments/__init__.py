"""Experiments that tell a better setting from noise: repeated over seeds or folds, and compared photo by photo.

results     scores of one run, from a folder, a DVC experiment or a Git revision
settings    the runs of one setting, over seeds or over folds, joined
ensemble    the stored detections of several runs fused into one set, and its scores
repeats     runs one setting with several values of one parameter; resumes
"""
