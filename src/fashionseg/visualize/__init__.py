"""Pictures of garments: outlines in a fixed colour per category, name tags, a legend, ground truth next to prediction.

    instances = [OutlinedInstance.from_runs(10, runs, (512, 512), score=0.93)]
    write_png(Path("dress.png"), outline(photo, instances))

Everything is drawn from the arguments alone, with the font that matplotlib ships, so the same photo and
instances give the same bytes.
"""

from fashionseg.visualize.colours import category_colour
from fashionseg.visualize.instance import OutlinedInstance
from fashionseg.visualize.panels import jpeg_bytes, outline, side_by_side, write_png

__all__ = ["OutlinedInstance", "category_colour", "jpeg_bytes", "outline", "side_by_side", "write_png"]
