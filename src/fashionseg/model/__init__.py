"""Mask R-CNN after Matterport, in Keras 3. Layer names are Matterport's, so that its weight files fit.

Shape letters: B images, A anchors, P proposals, R RoIs, G padded ground-truth instances, D detections,
K classes (0 = background, category c is class c + 1). Boxes between the parts are normalised
(`fashionseg.ops.boxes.normalise`); padding rows are zeros.
"""
