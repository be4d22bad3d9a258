"""The runs of an experiment on other machines: by Ray, or by SLURM."""
