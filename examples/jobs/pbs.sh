#!/bin/bash
# Runs a program on two nodes under PBS Professional or OpenPBS: qsub pbs.sh
#PBS -N mpisync
#PBS -l select=2:ncpus=8:mpiprocs=8:mem=4gb
#PBS -l walltime=01:00:00
#PBS -j oe
set -euo pipefail
cd "${PBS_O_WORKDIR:?start this script by qsub}"

# Change: the modules of the MPI that the program was built with.
# module load openmpi

# Change: the program and its arguments.
program=(./target/release/program)

# PBS writes one line for each rank into this file. Open MPI and MPICH both read it.
ranks=$(wc -l < "$PBS_NODEFILE")
mpiexec -machinefile "$PBS_NODEFILE" -n "$ranks" "${program[@]}"
