"""The mean of the weights of finished models of one architecture (Izmailov et al. 2018; Wortsman et al. 2022).

It pays for models that lie close to each other: fine-tuned from the same one, or taken from one training. The mean of
networks that were initialised differently detects nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fashionseg.errors import UserError
from fashionseg.experiments.results import WORKSPACE, resolve_run
from fashionseg.model.folder import (
    DESCRIPTION_FILE,
    LoadedNetwork,
    load_network,
    load_trained,
    read_description,
)
from fashionseg.params import Inference, Sampling, flatten, to_dict
from fashionseg.tracking.outputs import output_at

FINETUNED = Path("models/finetuned")


def find_model(root: Path, name: str) -> Path:
    """The model folder of `workspace`, a folder (a model folder, a checkout, an average), an experiment or a revision.

    Raises:
        UserError: there is no such run, or it has no model.
    """
    place = root if name == WORKSPACE else Path(name).expanduser()
    for folder in (place, place / FINETUNED, place / "model"):
        if (folder / DESCRIPTION_FILE).is_file():
            return folder
    if name == WORKSPACE:
        raise UserError(f"{name}: no model in {root / FINETUNED}; run `dvc repro finetune`")
    return output_at(root, resolve_run(root, name), FINETUNED, name)


def average_models(
    folders: Mapping[str, Path],
    inference: Inference,
    sampling: Sampling,
    category_groups: Sequence[str],
) -> LoadedNetwork:
    """A network with the mean of the weights of all model folders, moving statistics included.

    Args:
        folders: by what the user called them.
        inference, sampling, category_groups: see `build_network`.

    Raises:
        UserError: the models differ in architecture or categories.
    """
    (first, folder), *others = folders.items()
    model, names = read_description(folder)
    expected = flatten({"model": to_dict(model)})
    for name, other in others:
        of_other, other_names = read_description(other)
        for key, value in flatten({"model": to_dict(of_other)}).items():
            if value != expected.get(key):
                raise UserError(
                    f"{name}: expected {key} {expected.get(key)} as in {first}, got {value}; "
                    "models of one architecture can be averaged, others can be fused by `fashionseg ensemble`"
                )
        if other_names != names:
            raise UserError(f"{name}: expected the {len(names)} categories of {first}, got others")
    loaded = load_network(folder, inference, sampling, category_groups)
    sums = [np.zeros(weight.shape, np.float64) for weight in loaded.network.weights]
    for path in folders.values():
        load_trained(loaded.network, path)
        for total, value in zip(sums, loaded.network.get_weights(), strict=True):
            total += value
    loaded.network.set_weights([(total / len(folders)).astype(np.float32) for total in sums])
    return loaded
