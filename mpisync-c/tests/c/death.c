/* The last of two ranks is killed while it holds locks. The other one gets errors and goes on. */
#include "check.h"
#include <signal.h>
#include <unistd.h>

int main(int argc, char **argv) {
  mpisync_controller *ctrl;
  mpisync_mutex *mutex;
  mpisync_barrier *barrier;
  mpisync_counter *ready;
  int64_t number = 0;
  begin(&argc, &argv);
  CHECK(size == 2);
  OK(mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl));
  OK(mpisync_mutex_new(MPI_COMM_WORLD, NULL, 0, &mutex));
  OK(mpisync_barrier_new(MPI_COMM_WORLD, NULL, &barrier));
  OK(mpisync_counter_new(MPI_COMM_WORLD, NULL, 0, 0, &ready));
  if (rank == 1) {
    OK(mpisync_controller_write_lock(ctrl));
    OK(mpisync_mutex_lock(mutex));
    OK(mpisync_counter_next(ready, &number));
    kill(getpid(), SIGKILL);
  }
  while (number == 0) OK(mpisync_counter_add(ready, 0, &number));
  EXPECT(MPISYNC_ERR_POISONED, mpisync_controller_read_lock_timeout(ctrl, 30));
  SAYS("rank 1 died");
  CHECK(mpisync_last_error_rank() == 1);
  EXPECT(MPISYNC_ERR_POISONED, mpisync_controller_write_lock(ctrl));
  EXPECT(MPISYNC_ERR_POISONED, mpisync_mutex_lock(mutex));
  int taken = 0;
  OK(mpisync_controller_take_over(ctrl, &taken));
  CHECK(taken == 1);
  EXPECT(MPISYNC_ERR_HELD, mpisync_controller_take_over(ctrl, &taken));
  OK(mpisync_controller_unlock(ctrl));
  OK(mpisync_controller_take_over(ctrl, &taken));
  CHECK(taken == 0);
  OK(mpisync_controller_write_lock(ctrl));
  OK(mpisync_controller_unlock(ctrl));
  OK(mpisync_mutex_clear_poison(mutex));
  OK(mpisync_mutex_lock(mutex));
  OK(mpisync_mutex_unlock(mutex));
  EXPECT(MPISYNC_ERR_RANK_DIED, mpisync_barrier_wait(barrier));
  int writes;
  OK(mpisync_single_write_begin(ctrl, 1, &writes));
  EXPECT(MPISYNC_ERR_RANK_DIED, mpisync_single_write_end(ctrl, NULL, NULL, 0));
  EXPECT(MPISYNC_ERR_RANK_DIED, mpisync_controller_close(ctrl));
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_unlock(ctrl));
  EXPECT(MPISYNC_ERR_RANK_DIED, mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl));
  printf("rank 0 survived\n");
  fflush(stdout);
  /* MPI cannot be finalized without the dead rank. */
  _exit(0);
}
