"""What serves development: benchmarks, parity, soak, audit, reproducibility. Run by `make`; not in the wheel."""
