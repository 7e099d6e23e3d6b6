"""The networks. Everything outside this package uses `api.Network`, `networks.build_network` and `folder`.

Mask R-CNN follows Matterport, in Keras 3; its layers have Matterport's names, so that Matterport's weight files fit.

Shape letters: B images, A anchors, P proposals, R RoIs, G padded ground-truth instances, D detections,
K classes (0 = background, category c is class c + 1). Boxes between the parts are normalised
(`fashionseg.ops.boxes.normalise`); padding rows are zeros.
"""
