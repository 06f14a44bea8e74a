/* What a program does wrong, on two ranks: each mistake is a status with a message. */
#include "check.h"
#include <math.h>
#include <pthread.h>
#include <time.h>

static void arguments(void) {
  mpisync_controller *ctrl = NULL;
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, NULL));
  SAYS("`controller` is NULL");
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_controller_new(MPI_COMM_NULL, NULL, 0, &ctrl));
  SAYS("MPI_COMM_NULL");
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_controller_new(MPI_COMM_WORLD, "\xff", 0, &ctrl));
  SAYS("UTF-8");
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_controller_new(MPI_COMM_WORLD, NULL, 2, &ctrl));
  SAYS("master 2 is not a rank");
  CHECK(ctrl == NULL);

  MPI_Comm part, inter;
  MPI_Comm_split(MPI_COMM_WORLD, rank, 0, &part);
  MPI_Intercomm_create(part, 0, MPI_COMM_WORLD, 1 - rank, 0, &inter);
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_controller_new(inter, NULL, 0, &ctrl));
  SAYS("inter-communicator");
  MPI_Comm_free(&inter);
  MPI_Comm_free(&part);

  mpisync_semaphore *semaphore = NULL;
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_semaphore_new(MPI_COMM_WORLD, NULL, 0, -1, &semaphore));
  mpisync_channel *channel = NULL;
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_channel_new(MPI_COMM_WORLD, NULL, 0, 8, SIZE_MAX / 2, &channel));
  SAYS("no more than fit into memory");
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_channel_new(MPI_COMM_WORLD, NULL, 0, 0, 8, &channel));
  mpisync_batch *batch = NULL;
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_batch_new(MPI_COMM_WORLD, NULL, 0, -5, 1, NULL, &batch));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_batch_new(MPI_COMM_WORLD, NULL, 0, 5, 3, NULL, &batch));
  SAYS("workers of");
  CHECK(strchr(mpisync_version(), '.') != NULL);
  CHECK(strcmp(mpisync_status_name(MPISYNC_TIMEOUT), "MPISYNC_TIMEOUT") == 0);
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_init());
  SAYS("MPI was initialized before");
  EXPECT(MPISYNC_ERR_FINALIZED, mpisync_finalize());

  /* The ranks differ: rank 1 compares itself with rank 0, which hears of it. */
  int differs = rank ? MPISYNC_ERR_DIVERGED : MPISYNC_ERR_CREATE;
  EXPECT(differs,
         mpisync_controller_new(MPI_COMM_WORLD, rank ? "one" : "another", 0, &ctrl));
  mpisync_region *region = NULL;
  EXPECT(differs, mpisync_region_new(MPI_COMM_WORLD, NULL, 8, 1 + rank, &region));
  mpisync_mutex *mutex = NULL;
  EXPECT(differs, rank ? mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl)
                       : mpisync_mutex_new(MPI_COMM_WORLD, NULL, 0, &mutex));
}

static void *other_thread(void *ctrl) {
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_read_lock(ctrl));
  SAYS("another thread");
  int provided;
  mpisync_mutex *mutex;
  MPI_Query_thread(&provided);
  if (provided < MPI_THREAD_SERIALIZED) {
    EXPECT(MPISYNC_ERR_CREATE, mpisync_mutex_new(MPI_COMM_SELF, NULL, 0, &mutex));
    SAYS("the thread level Funneled");
  }
  return NULL;
}

static void handles(void) {
  mpisync_controller *ctrl, *next;
  mpisync_mutex *mutex;
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_read_lock(NULL));
  SAYS("NULL");
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_close(NULL));
  OK(mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl));
  OK(mpisync_mutex_new(MPI_COMM_WORLD, NULL, 0, &mutex));
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_read_lock((mpisync_controller *)mutex));
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_read_lock((mpisync_controller *)&rank));
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, other_thread, ctrl) == 0);
  CHECK(pthread_join(thread, NULL) == 0);

  OK(mpisync_controller_close(ctrl));
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_read_lock(ctrl));
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_close(ctrl));
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_free(ctrl));
  OK(mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &next));
  EXPECT(MPISYNC_ERR_HANDLE, mpisync_controller_read_lock(ctrl));
  OK(mpisync_controller_close(next));
  OK(mpisync_mutex_close(mutex));
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static void locks(void) {
  mpisync_controller *ctrl;
  mpisync_mutex *mutex;
  mpisync_barrier *barrier;
  OK(mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl));
  OK(mpisync_mutex_new(MPI_COMM_WORLD, NULL, 0, &mutex));
  OK(mpisync_barrier_new(MPI_COMM_WORLD, NULL, &barrier));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_controller_unlock(ctrl));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_controller_downgrade(ctrl));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_mutex_unlock(mutex));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_single_write_end(ctrl, NULL, NULL, 0));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_controller_read_lock_timeout(ctrl, -1));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_mutex_lock_timeout(mutex, NAN));
  OK(mpisync_controller_read_lock_timeout(ctrl, INFINITY));
  EXPECT(MPISYNC_ERR_HELD, mpisync_controller_read_lock(ctrl));
  EXPECT(MPISYNC_ERR_HELD, mpisync_controller_write_lock(ctrl));
  EXPECT(MPISYNC_ERR_HELD, mpisync_controller_close(ctrl));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_controller_downgrade(ctrl));
  OK(mpisync_controller_unlock(ctrl));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_controller_unlock(ctrl));
  SAYS("does not hold");
  OK(mpisync_barrier_wait(barrier));

  if (rank == 0) {
    OK(mpisync_controller_write_lock(ctrl));
    OK(mpisync_mutex_lock(mutex));
    EXPECT(MPISYNC_ERR_HELD, mpisync_mutex_lock(mutex));
    EXPECT(MPISYNC_ERR_HELD, mpisync_mutex_try_lock(mutex));
  }
  OK(mpisync_barrier_wait(barrier));
  if (rank == 1) {
    EXPECT(MPISYNC_BUSY, mpisync_controller_try_read_lock(ctrl));
    EXPECT(MPISYNC_BUSY, mpisync_controller_try_write_lock(ctrl));
    EXPECT(MPISYNC_BUSY, mpisync_mutex_try_lock(mutex));
    double start = seconds();
    EXPECT(MPISYNC_TIMEOUT, mpisync_controller_read_lock_timeout(ctrl, 0.2));
    EXPECT(MPISYNC_TIMEOUT, mpisync_controller_write_lock_timeout(ctrl, 0.2));
    EXPECT(MPISYNC_TIMEOUT, mpisync_mutex_lock_timeout(mutex, 0.2));
    SAYS("not granted within 200ms");
    /* There is no place of the program, and those in the library mean nothing to it. */
    CHECK(strstr(mpisync_last_error_message(), ".rs") == NULL);
    CHECK(seconds() - start >= 0.6 && seconds() - start < 20);
  }
  OK(mpisync_barrier_wait(barrier));
  if (rank == 0) {
    /* Freed with the lock, which the other one gets. */
    OK(mpisync_controller_unlock(ctrl));
    OK(mpisync_mutex_free(mutex));
    EXPECT(MPISYNC_ERR_HANDLE, mpisync_mutex_unlock(mutex));
    EXPECT(MPISYNC_TIMEOUT, mpisync_barrier_wait_timeout(barrier, 0.2));
    SAYS("[1] have not come");
    CHECK(mpisync_last_error_rank() == 1);
    MPI_Barrier(MPI_COMM_WORLD);
  } else {
    OK(mpisync_mutex_lock_timeout(mutex, 20));
    OK(mpisync_mutex_free(mutex));
    MPI_Barrier(MPI_COMM_WORLD);
  }
  OK(mpisync_barrier_wait(barrier));
  OK(mpisync_barrier_close(barrier));
  OK(mpisync_controller_close(ctrl));
}

static void single_writes(void) {
  mpisync_controller *ctrl;
  int writes;
  char data[8] = "";
  OK(mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_single_write_begin(ctrl, -1, NULL));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_single_write_begin(ctrl, 2, &writes));
  SAYS("rank 2 is not in the communicator");

  OK(mpisync_single_write_begin(ctrl, -1, &writes));
  EXPECT(MPISYNC_ERR_HELD, mpisync_single_write_begin(ctrl, -1, &writes));
  EXPECT(MPISYNC_ERR_HELD, mpisync_controller_read_lock(ctrl));
  EXPECT(MPISYNC_ERR_HELD, mpisync_controller_unlock(ctrl));
  SAYS("call mpisync_single_write_end");
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_single_write_end(ctrl, NULL, NULL, 8));
  EXPECT(MPISYNC_ERR_WRITER_FAILED,
         mpisync_single_write_end(ctrl, writes ? "the disk is full" : NULL, data, sizeof data));
  SAYS("the disk is full");
  CHECK(mpisync_last_error_rank() == 0);

  /* A reason that is not UTF-8 ends the call as well. */
  OK(mpisync_single_write_begin(ctrl, 0, &writes));
  EXPECT(MPISYNC_ERR_WRITER_FAILED,
         mpisync_single_write_end(ctrl, writes ? "d\xe9j\xe0 vu" : NULL, data, sizeof data));
  SAYS("vu");

  OK(mpisync_single_write_begin(ctrl, 1, &writes));
  if (writes) OK(mpisync_single_write_end(ctrl, NULL, data, 8));
  else EXPECT(MPISYNC_ERR_SIZE, mpisync_single_write_end(ctrl, NULL, data, 4));

  /* A writer that drops the controller has failed; another rank that drops it harms nobody. */
  OK(mpisync_single_write_begin(ctrl, 1, &writes));
  if (writes) {
    OK(mpisync_controller_free(ctrl));
  } else {
    EXPECT(MPISYNC_ERR_WRITER_FAILED, mpisync_single_write_end(ctrl, NULL, data, 8));
    OK(mpisync_controller_free(ctrl));
  }
  OK(mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl));
  OK(mpisync_single_write_begin(ctrl, 0, &writes));
  if (writes) OK(mpisync_single_write_end(ctrl, NULL, data, 8));
  OK(mpisync_controller_free(ctrl));
}

static void others(void) {
  mpisync_semaphore *semaphore;
  mpisync_counter *counter;
  mpisync_region *region;
  mpisync_channel *channel;
  mpisync_batch *batch;
  OK(mpisync_semaphore_new(MPI_COMM_WORLD, NULL, 0, 2, &semaphore));
  OK(mpisync_counter_new(MPI_COMM_WORLD, NULL, 0, INT64_MAX - 3, &counter));
  OK(mpisync_region_new(MPI_COMM_WORLD, NULL, 10, 8, &region));
  OK(mpisync_channel_new(MPI_COMM_WORLD, NULL, 0, 2, 8, &channel));
  OK(mpisync_batch_new(MPI_COMM_WORLD, NULL, 0, 2, 1, NULL, &batch));

  EXPECT(MPISYNC_ERR_USED_UP, mpisync_semaphore_acquire(semaphore, 3));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_semaphore_release(semaphore, 1));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_semaphore_acquire(semaphore, -1));
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0) {
    OK(mpisync_semaphore_acquire(semaphore, 2));
    EXPECT(MPISYNC_ERR_HELD, mpisync_semaphore_acquire(semaphore, 1));
    EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_semaphore_release(semaphore, 1));
    EXPECT(MPISYNC_ERR_HELD, mpisync_semaphore_close(semaphore));
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 1) {
    EXPECT(MPISYNC_BUSY, mpisync_semaphore_try_acquire(semaphore, 1));
    EXPECT(MPISYNC_TIMEOUT, mpisync_semaphore_acquire_timeout(semaphore, 0.1, 1));
  }
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0) {
    OK(mpisync_semaphore_release(semaphore, 2));
    EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_semaphore_release(semaphore, 2));
  }

  OK(mpisync_semaphore_clear_poison(semaphore)); /* it is not poisoned */

  int64_t number;
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_counter_next(counter, NULL));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_counter_reserve(counter, 0, &number));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_counter_reserve(counter, -1, &number));
  EXPECT(MPISYNC_ERR_USED_UP, mpisync_counter_reserve(counter, 100, &number));

  void *data = NULL;
  const void *seen = NULL;
  EXPECT(MPISYNC_ERR_SIZE, mpisync_region_write_lock(region, 81, &data));
  SAYS("the region has 80 bytes");
  EXPECT(MPISYNC_ERR_SIZE, mpisync_region_read_lock(region, 81, &seen));
  CHECK(data == NULL && seen == NULL);
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_region_write_lock(region, 80, NULL));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_region_unlock(region));
  OK(mpisync_region_read_lock(region, 80, &seen));
  EXPECT(MPISYNC_ERR_HELD, mpisync_region_write_lock(region, 80, &data));
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 1) OK(mpisync_region_unlock(region));
  if (rank == 1) EXPECT(MPISYNC_BUSY, mpisync_region_try_write_lock(region, 80, &data));
  if (rank == 1) EXPECT(MPISYNC_TIMEOUT, mpisync_region_write_lock_timeout(region, 0.1, 80, &data));
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0) OK(mpisync_region_unlock(region));

  char buffer[56];
  size_t length;
  if (rank == 0) {
    EXPECT(MPISYNC_BUSY, mpisync_channel_try_take(channel, buffer, 56, &length));
    EXPECT(MPISYNC_TIMEOUT, mpisync_channel_take_timeout(channel, 0.1, buffer, 56, &length));
    CHECK(strstr(mpisync_last_error_message(), ".rs") == NULL);
    EXPECT(MPISYNC_ERR_SIZE, mpisync_channel_put(channel, buffer, 9));
    EXPECT(MPISYNC_ERR_SIZE, mpisync_channel_take(channel, buffer, 7, &length));
    EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_channel_put(channel, NULL, 1));
    EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_channel_take(channel, buffer, 56, NULL));
    EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_channel_claim(channel, -1));
    OK(mpisync_channel_put(channel, NULL, 0));
    OK(mpisync_channel_put(channel, "x", 2));
    EXPECT(MPISYNC_BUSY, mpisync_channel_try_put(channel, "y", 2));
    EXPECT(MPISYNC_TIMEOUT, mpisync_channel_put_timeout(channel, 0.1, "y", 2));
    OK(mpisync_channel_take(channel, buffer, 56, &length));
    CHECK(length == 0);
  }
  MPI_Barrier(MPI_COMM_WORLD);

  int64_t task;
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_batch_task_done(batch));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_batch_task_failed(batch, NULL));
  EXPECT(MPISYNC_ERR_ARGUMENT, mpisync_batch_next_task(batch, NULL));
  OK(mpisync_batch_next_task(batch, &task));
  EXPECT(MPISYNC_ERR_HELD, mpisync_batch_next_task(batch, &task));
  EXPECT(MPISYNC_ERR_HELD, mpisync_batch_close(batch));
  OK(mpisync_batch_task_done(batch));
  EXPECT(MPISYNC_ERR_NOT_HELD, mpisync_batch_task_done(batch));
  MPI_Barrier(MPI_COMM_WORLD);
  OK(mpisync_batch_close(batch));
  OK(mpisync_batch_new(MPI_COMM_WORLD, NULL, 0, 2, 1, NULL, &batch));
  OK(mpisync_batch_next_task(batch, &task));
  OK(mpisync_batch_task_failed(batch, "d\xe9j\xe0 vu"));

  OK(mpisync_batch_close(batch));
  OK(mpisync_channel_free(channel));
  OK(mpisync_region_close(region));
  OK(mpisync_counter_close(counter));
  OK(mpisync_semaphore_close(semaphore));
}

int main(int argc, char **argv) {
  mpisync_controller *ctrl;
  EXPECT(MPISYNC_ERR_FINALIZED, mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &ctrl));
  SAYS("MPI is not initialized");
  begin(&argc, &argv);
  CHECK(size == 2);
  arguments();
  handles();
  locks();
  single_writes();
  others();
  return end();
}
