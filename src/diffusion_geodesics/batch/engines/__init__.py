"""What pairs are computed on: this machine, a Ray cluster, SLURM."""
