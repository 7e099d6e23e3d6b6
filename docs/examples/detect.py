"""Garments on a photo with an exported model: needs ai-edge-litert, NumPy and Pillow, nothing of fashionseg.

python detect.py model.tflite photo.jpg
"""

import json
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

path, photo_path = sys.argv[1:]
about = json.loads(zipfile.ZipFile(path).read("fashionseg.json"))
side, limits = about["image_size"], about["thresholds"]
photo = ImageOps.exif_transpose(Image.open(photo_path)).convert("RGB")

# The photo keeps its shape: scaled to fit the square, centred, black around it.
scale = side / max(photo.size)
width, height = (max(1, round(length * scale)) for length in photo.size)
left, top = (side - width) // 2, (side - height) // 2
square = Image.new("RGB", (side, side))
square.paste(
    photo.resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR),
    (left, top),
)
window = np.array([[top, left, top + height, left + width]], np.float32)

detect = Interpreter(path).get_signature_runner("detect")
found = {name: values[0] for name, values in detect(images=np.array(square)[None], windows=window).items()}
for number, score in zip(found["classes"], found["scores"], strict=True):
    if number > 0 and score >= limits["score"]:  # 0 is padding
        print(f"{about['categories'][number - 1]}  {score:.2f}")
# found["boxes"] are [y1, x1, y2, x2] in pixels of the square; found["masks"] are 28 x 28 probabilities spanning them.
