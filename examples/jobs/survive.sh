#!/bin/sh
# Lets the other ranks go on when a rank dies, with MPICH and its relatives:
#
#     mpiexec -disable-auto-cleanup -n 4 ./survive.sh target/release/program ...
#
# MPICH's launcher kills all ranks of a node when one of the processes that it has started there ends by a signal, also
# with that option. Here it starts shells, which outlive their ranks. It tells them of the death by SIGUSR1, which is meant
# for the library. The exit code of the job is then that of the rank: 128 and the number of the signal.
# Open MPI needs no script: mpirun --enable-recovery -n 4 target/release/program ...

trap "" USR1
"$@"
exit $?
