"""fashionseg: clothing instance segmentation for iMaterialist (Fashion) 2019, as a reproducible DVC pipeline."""
