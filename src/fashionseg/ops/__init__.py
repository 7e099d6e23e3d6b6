"""Pure tensor functions in `keras.ops`: the same code on TensorFlow and on JAX, static shapes throughout.

Shape letters: B images, A anchors, P proposals, R RoIs, G padded ground-truth instances, K classes
(0 = background), C channels. `boxes` are `[y1, x1, y2, x2]` in pixels of the network's input, half-open;
`boxes_norm` are normalised as Matterport does (see `boxes.normalise`). Padding rows are zeros.
"""
