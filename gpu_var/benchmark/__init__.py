"""How fast: seeded books and inputs, the machine's ceilings, and both backends side by side.

`gpu-var bench`, the benchmarks under `bench/` and `bench/gpu.sh` measure with these. Nothing that computes a margin
imports from here.
"""
