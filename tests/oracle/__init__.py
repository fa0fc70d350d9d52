"""A slow, plain second implementation of the contract, shared by the tests and by nothing else."""
