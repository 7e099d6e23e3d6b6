"""What the pyramid and the heads need of a backbone."""

from __future__ import annotations

import pytest
from fashionseg.model.backbone import BLOCKS_PER_STAGE, build_backbone

from fashionseg.model.layers import BatchNorm


@pytest.mark.parametrize("name", BLOCKS_PER_STAGE)
def test_c2_to_c5_have_strides_4_to_32_and_4_to_32_times_the_width(name: str) -> None:
    backbone = build_backbone(name, 64, 4, BatchNorm(False, 0.9))
    assert [feature.shape for feature in backbone.outputs] == [
        (None, 16, 16, 16),
        (None, 8, 8, 32),
        (None, 4, 4, 64),
        (None, 2, 2, 128),
    ]


@pytest.mark.parametrize(
    ("name", "depth"), [("resnet14", 14), ("resnet26", 26), ("resnet50", 50), ("resnet101", 101)]
)
def test_a_resnet_has_as_many_layers_as_its_name_says(name: str, depth: int) -> None:
    """The stem, three convolutions a block, and the classifier that a detector does without; shortcuts do not count."""
    assert 2 + 3 * sum(BLOCKS_PER_STAGE[name]) == depth
