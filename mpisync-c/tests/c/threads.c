/* On two ranks a thread each makes objects. That of rank 0 holds them all and ends without freeing them;
 * that of rank 1 gets what the other has held. */
#include "check.h"
#include <pthread.h>

static MPI_Comm comm;

static void *thread(void *argument) {
  (void)argument;
  mpisync_mutex *mutex;
  mpisync_controller *ctrl, *calls[2];
  mpisync_semaphore *semaphore;
  mpisync_region *region;
  mpisync_channel *channel;
  int writes;
  void *data;
  OK(mpisync_mutex_new(comm, NULL, 0, &mutex));
  OK(mpisync_controller_new(comm, NULL, 0, &ctrl));
  OK(mpisync_semaphore_new(comm, NULL, 0, 3, &semaphore));
  OK(mpisync_region_new(comm, NULL, 1, 8, &region));
  OK(mpisync_channel_new(comm, NULL, 0, 4, 8, &channel));
  for (int writer = 0; writer < 2; writer++) {
    OK(mpisync_controller_new(comm, NULL, writer, &calls[writer]));
    OK(mpisync_single_write_begin(calls[writer], writer, &writes));
  }
  if (rank == 0) {
    OK(mpisync_mutex_lock(mutex));
    OK(mpisync_controller_write_lock(ctrl));
    OK(mpisync_semaphore_acquire(semaphore, 1));
    OK(mpisync_semaphore_acquire(semaphore, 2));
    OK(mpisync_region_write_lock(region, 8, &data));
  }
  MPI_Barrier(comm);
  if (rank == 0) return NULL;
  char buffer[56];
  size_t length;
  OK(mpisync_mutex_lock_timeout(mutex, 30));
  OK(mpisync_controller_write_lock_timeout(ctrl, 30));
  OK(mpisync_semaphore_acquire_timeout(semaphore, 30, 3));
  OK(mpisync_region_write_lock_timeout(region, 30, 8, &data));
  EXPECT(MPISYNC_END, mpisync_channel_take(channel, buffer, sizeof buffer, &length));
  EXPECT(MPISYNC_ERR_WRITER_FAILED, mpisync_single_write_end(calls[0], NULL, NULL, 0));
  OK(mpisync_single_write_end(calls[1], NULL, NULL, 0));
  return NULL;
}

int main(int argc, char **argv) {
  int provided;
  pthread_t worker;
  begin(&argc, &argv);
  CHECK(size == 2);
  MPI_Query_thread(&provided);
  if (provided == MPI_THREAD_MULTIPLE) {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    CHECK(pthread_create(&worker, NULL, thread, NULL) == 0);
    CHECK(pthread_join(worker, NULL) == 0);
    MPI_Comm_free(&comm);
  }
  return end();
}
