"""Weight files in Matterport's layout."""

from __future__ import annotations

import json
import shutil

import h5py
import keras
import numpy as np
import pytest
from tools.parity.backend import gradients

from fashionseg.errors import UserError
from fashionseg.model.matterport_layout import CLASS_LAYERS, layer_names, name_pairs
from fashionseg.model.pretrained import load_pretrained
from fashionseg.model.weights import (
    backbone_of,
    load_matterport,
    save_matterport,
    variable_of,
)

RESNET50 = {"model.backbone.name": "resnet50"}
AGNOSTIC = {"model.mask_head.class_agnostic": True}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network(make_network):
    """A network on ResNet-50 whose every weight differs from its initial value."""
    network = make_network(RESNET50, seed=1)
    for variable in network.weights:
        if variable.name != "seed_generator_state":
            noise = np.random.default_rng(len(variable.shape)).normal(size=variable.shape)
            variable.assign(variable + 0.01 * np.abs(noise))
    return network


@pytest.fixture(scope="module")
def saved_once(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "weights.h5"
    save_matterport(network, path)
    return path


@pytest.fixture
def path(saved_once, tmp_path):
    """The file saved from `network`, to change at will."""
    return shutil.copy(saved_once, tmp_path / "weights.h5")


@pytest.fixture(scope="module")
def other(make_network):
    """Another network of the same shapes, its weights whatever the tests before left."""
    return make_network(RESNET50, seed=2)


@pytest.fixture(scope="module")
def nine(make_network):
    """The same for another number of categories."""
    return make_network(RESNET50, seed=2, categories=9)


def arrays(network) -> dict[str, np.ndarray]:
    return {
        f"{pair.group}/{pair.name}": keras.ops.convert_to_numpy(variable_of(network, pair))
        for pair in name_pairs(backbone_of(network))
    }


def assert_equal(ours: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> None:
    assert ours.keys() == others.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


def test_the_table_holds_every_weight_of_the_network(network):
    listed = {id(variable_of(network, pair)) for pair in name_pairs("resnet50")}
    ours = {id(v) for v in network.weights if v.name != "seed_generator_state"}
    assert listed == ours
    assert (len(name_pairs("resnet50")), len(name_pairs("resnet101"))) == (384, 690)


def test_load_is_the_inverse_of_save(network, other, path):
    report = load_matterport(other, path)
    assert_equal(arrays(other), arrays(network))
    assert (len(report.loaded), report.num_arrays) == (131, 384)
    assert report.skipped == report.initial == ()
    assert report.describe().startswith("131 layers loaded (384 arrays, ")


def test_the_same_weights_are_the_same_bytes(other, path, tmp_path):
    load_matterport(other, path)
    save_matterport(other, tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_a_file_has_a_group_for_every_layer_and_one_level_more(path):
    with h5py.File(path) as file:
        names = [name.decode() for name in file.attrs["layer_names"]]
        assert names == layer_names("resnet50")
        assert set(file) == set(names)
        assert list(file["conv1"].attrs["weight_names"]) == [b"conv1/kernel:0", b"conv1/bias:0"]
        assert file["rpn_model/rpn_conv_shared/kernel:0"].shape == (3, 3, 8, 8)
        assert len(file["anchors"].attrs["weight_names"]) == 0


def test_whole_model_files_and_names_as_text_load_too(network, other, path, tmp_path):
    wrapped = tmp_path / "wrapped.h5"
    with h5py.File(path) as source, h5py.File(wrapped, "w") as target:
        group = target.create_group("model_weights")
        for name in source:
            source.copy(name, group)
            texts = [weight.decode() for weight in source[name].attrs["weight_names"]]
            group[name].attrs.create("weight_names", texts, dtype=h5py.string_dtype())
        group.attrs["layer_names"] = [name.decode() for name in source.attrs["layer_names"]]
    load_matterport(other, wrapped)
    assert_equal(arrays(other), arrays(network))


def test_the_anchors_that_a_port_saves_are_skipped(other, path):
    with h5py.File(path, "r+") as file:
        file["anchors"].create_dataset("anchors/Variable:0", data=np.zeros((1, 3, 4)))
        file["anchors"].attrs["weight_names"] = np.array(["anchors/Variable:0"], "S")
    assert load_matterport(other, path).skipped == ("anchors",)


def test_other_number_of_categories_needs_class_layers_excluded(network, nine, path):
    before = arrays(nine)
    with pytest.raises(
        UserError, match=r"mrcnn_bbox_fc/kernel:0: expected the shape \(8, 40\), got \(8, 24\); w"
    ):
        load_matterport(nine, path)
    assert_equal(arrays(nine), before)  # nothing was loaded
    # Matterport's users also name the weightless layer behind the box deltas.
    report = load_matterport(nine, path, exclude=[*CLASS_LAYERS, "mrcnn_bbox"])
    assert set(report.initial) == set(report.skipped) == set(CLASS_LAYERS)
    stored = arrays(network)
    for name, array in arrays(nine).items():
        source = before if name.split("/")[0] in CLASS_LAYERS else stored
        np.testing.assert_array_equal(array, source[name], err_msg=name)


def edit(path, group: str, name: str | None, **changes) -> None:
    """Changes one array of a file, or takes a group out of its list."""
    with h5py.File(path, "r+") as file:
        if name is None:
            names = [n for n in file.attrs["layer_names"] if n != group.encode()]
            file.attrs["layer_names"] = np.array(names + changes.get("others", []), "S")
            return
        del file[group][name]
        file[group].create_dataset(name, data=changes["data"])


def test_another_backbone_is_named(path, make_network):
    with pytest.raises(UserError, match=r"expected weights of resnet101 .*, got weights of resnet50"):
        load_matterport(make_network({"model.backbone.name": "resnet101"}), path)


def test_a_missing_layer_is_named(other, path):
    edit(path, "fpn_p3", None)
    with pytest.raises(UserError, match="1 layers of the model are not in the file: fpn_p3"):
        load_matterport(other, path)


def test_an_unknown_layer_is_named(other, path):
    with h5py.File(path, "r+") as file:
        file.copy("fpn_p3", "fpn_p7")
    edit(path, "fpn_p7", None, others=[b"fpn_p7"])
    with pytest.raises(UserError, match="1 layers unknown to the model: fpn_p7"):
        load_matterport(other, path)


def test_sizes_that_differ_name_the_parameter(path, make_network):
    with pytest.raises(
        UserError, match=r"expected the shape \(7, 7, 3, 8\), got \(7, 7, 3, 4\); see model.backbone.width"
    ):
        load_matterport(make_network({**RESNET50, "model.backbone.width": 8}), path)


def test_arrays_in_another_order_are_refused(other, path):
    with h5py.File(path, "r+") as file:
        names = file["bn_conv1"].attrs["weight_names"]
        file["bn_conv1"].attrs["weight_names"] = names[[1, 0, 2, 3]]
    with pytest.raises(UserError, match="bn_conv1: expected the arrays bn_conv1/gamma:0, bn_conv1/beta:0"):
        load_matterport(other, path)


@pytest.mark.fault(table="stored-files", case="weights: truncated, of another network, not finite")
def test_values_that_are_not_finite_are_refused(other, path):
    edit(path, "bn_conv1", "bn_conv1/beta:0", data=np.array([0, np.nan, 0, 0], np.float32))
    with pytest.raises(UserError, match="bn_conv1/bn_conv1/beta:0: values that are not finite"):
        load_matterport(other, path)


def test_unknown_excluded_layers_are_an_error(other, path):
    with pytest.raises(UserError, match="exclude: no layer is named mrcnn_mosk"):
        load_matterport(other, path, exclude=["mrcnn_mosk"])


def test_files_of_another_kind(other, tmp_path):
    text = tmp_path / "weights.h5"
    text.write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"weights\.h5: not a whole HDF5 file"):
        load_matterport(other, text)
    with pytest.raises(UserError, match=r"none\.h5: no such file"):
        load_matterport(other, tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["measurements"] = np.zeros(3)
    with pytest.raises(UserError, match=r"expected the attribute layer_names, found the groups measurements"):
        load_matterport(other, tmp_path / "other.h5")


@pytest.mark.parametrize("fraction", [0.001, 0.3, 0.9])
@pytest.mark.fault(
    table="stored-files",
    case="weights: truncated, of another network, not finite",
    outcome="refused, nothing is loaded",
)
def test_a_truncated_file(other, path, fraction):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(UserError, match="not a whole HDF5 file"):
        load_matterport(other, path)


def pretrained(folder, source: str, weights=None):
    folder.mkdir()
    (folder / "source.json").write_text(json.dumps({"source": source}))
    if weights:
        shutil.copy(weights, folder / "weights.h5")
    return folder


def test_pretrained_weights_for_other_categories_leave_the_class_layers_alone(
    network, nine, path, tmp_path, capsys
):
    load_pretrained(nine, pretrained(tmp_path / "pretrained", "coco", path))
    printed = capsys.readouterr().out
    assert printed.startswith("weights of coco: 128 layers loaded")
    assert all(name in printed.split("left at initial values: ")[1] for name in CLASS_LAYERS)
    np.testing.assert_array_equal(
        arrays(nine)["conv1/conv1/kernel:0"], arrays(network)["conv1/conv1/kernel:0"]
    )


def test_a_class_agnostic_network_takes_all_but_the_last_layer_of_the_masks(
    make_network, network, path, tmp_path, capsys
):
    agnostic = make_network(RESNET50 | AGNOSTIC, seed=2)
    before, given = arrays(agnostic), arrays(network)
    load_pretrained(agnostic, pretrained(tmp_path / "pretrained", "coco", path))
    printed = capsys.readouterr().out
    assert printed.startswith("weights of coco: 130 layers loaded")
    assert printed.endswith("skipped in the file: mrcnn_mask; left at initial values: mrcnn_mask\n")
    own = {name: array for name, array in given.items() if not name.startswith("mrcnn_mask/")}
    own |= {name: array for name, array in before.items() if name.startswith("mrcnn_mask/")}
    assert_equal(arrays(agnostic), own)


def test_a_class_agnostic_network_is_not_exported(make_network, tmp_path):
    with pytest.raises(UserError, match=r"\(model\.mask_head\.class_agnostic: true\)") as fault:
        save_matterport(make_network(AGNOSTIC), tmp_path / "weights.h5")
    assert "\n" not in str(fault.value)
    assert not list(tmp_path.iterdir())


def test_without_pretrained_weights_nothing_is_loaded(network, tmp_path):
    before = arrays(network)
    load_pretrained(network, pretrained(tmp_path / "pretrained", "none"))
    assert_equal(arrays(network), before)


def test_pretrained_folder_without_source_is_refused(other, tmp_path):
    with pytest.raises(UserError, match=r"source\.json: no such file; run the stage pretrained"):
        load_pretrained(other, tmp_path)


def test_training_the_heads_leaves_each_frozen_weight_as_it_was_loaded(nine, path, batch):
    load_matterport(nine, path, exclude=CLASS_LAYERS)
    before = arrays(nine)
    nine.backbone.trainable = False
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    for _ in range(2):
        _, found = gradients(lambda: sum_of(nine.loss_terms(batch, True)), nine.trainable_variables)
        optimizer.apply(found, nine.trainable_variables)
    changed = {name for name, array in arrays(nine).items() if not np.array_equal(array, before[name])}
    parts = {f"{pair.group}/{pair.name}": pair.part for pair in name_pairs("resnet50")}
    assert {parts[name] for name in changed} == {"fpn", "rpn_head", "box_head", "mask_head"}
    # The control: with the backbone let go, it does change.
    nine.backbone.trainable = True
    _, found = gradients(lambda: sum_of(nine.loss_terms(batch, True)), nine.trainable_variables)
    keras.optimizers.SGD(0.01).apply(found, nine.trainable_variables)
    assert not np.array_equal(arrays(nine)["conv1/conv1/kernel:0"], before["conv1/conv1/kernel:0"])


def sum_of(losses: dict) -> dict:
    return {"total": sum(term.value for term in losses.values())}
