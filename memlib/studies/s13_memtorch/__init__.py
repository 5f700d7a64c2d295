"""What changes for somebody who comes from MemTorch: its formulas, its exemplar sweeps and its seizure detector."""
