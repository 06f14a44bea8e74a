#!/bin/bash
# Runs a program on two nodes under Slurm: sbatch slurm.sh
#SBATCH --job-name=mpisync
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --mem=4G
#SBATCH --time=01:00:00
#SBATCH --output=%x-%j.log
set -euo pipefail

# Change: the modules of the MPI that the program was built with.
# module load openmpi

# Change: the program and its arguments.
program=(./target/release/program)

# `srun --mpi=list` shows what this Slurm can do; Open MPI needs `pmix`, MPICH `pmi2` or `pmix`.
# Where none of them fits: mpiexec "${program[@]}"
srun --mpi=pmix "${program[@]}"
