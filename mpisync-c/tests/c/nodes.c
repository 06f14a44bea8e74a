/* Locks that are free are taken without waiting for other ranks, also if the ranks are on several nodes. */
#include "check.h"

/* A node may be slow to answer where ranks share cores. */
enum { TRIES = 20 };

#define SOON(call)                                                                                 \
  do {                                                                                             \
    int got = MPISYNC_BUSY;                                                                        \
    for (int i = 0; i < TRIES && got == MPISYNC_BUSY; i++) got = (call);                           \
    OK(got);                                                                                       \
  } while (0)

int main(int argc, char **argv) {
  mpisync_controller *ctrl;
  mpisync_region *region;
  mpisync_mutex *mutex;
  mpisync_semaphore *semaphore;
  void *data;
  begin(&argc, &argv);
  OK(mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl));
  OK(mpisync_region_new(MPI_COMM_WORLD, NULL, 1, 8, &region));
  OK(mpisync_mutex_new(MPI_COMM_WORLD, NULL, 0, &mutex));
  OK(mpisync_semaphore_new(MPI_COMM_WORLD, NULL, 0, 2, &semaphore));
  for (int turn = 0; turn < 2 * size; turn++) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank != turn % size) continue;
    SOON(mpisync_controller_try_write_lock(ctrl));
    OK(mpisync_controller_unlock(ctrl));
    SOON(mpisync_region_try_write_lock(region, 8, &data));
    OK(mpisync_region_unlock(region));
    SOON(mpisync_mutex_try_lock(mutex));
    OK(mpisync_mutex_unlock(mutex));
    SOON(mpisync_semaphore_try_acquire(semaphore, 2));
    OK(mpisync_semaphore_release(semaphore, 2));
  }
  OK(mpisync_semaphore_close(semaphore));
  OK(mpisync_mutex_close(mutex));
  OK(mpisync_region_close(region));
  OK(mpisync_controller_close(ctrl));
  return end();
}
