"""Our code compared with stored outputs of Matterport's: every array of a reference directory, stage by stage.

A reference directory holds `<kind>_<name>.npz` files, `make_weights.py` and `matterport_h5_layout.json`; its README
says what each array is. Shape letters are those of `fashionseg.ops`.
"""
