/* Every object, used as it is meant to be, on any number of ranks. */
#include "check.h"

enum { ROUNDS = 200 };

/* What the ranks change under the locks; MPI's own shared memory, so that an error shows. */
static volatile long *shared(MPI_Win *window) {
  long *memory, *first;
  MPI_Aint bytes;
  int unit;
  MPI_Win_allocate_shared(rank == 0 ? sizeof(long) * 2 : 0, sizeof(long), MPI_INFO_NULL,
                          MPI_COMM_WORLD, &memory, window);
  MPI_Win_shared_query(*window, 0, &bytes, &unit, &first);
  if (rank == 0) memory[0] = memory[1] = 0;
  MPI_Barrier(MPI_COMM_WORLD);
  return first;
}

static void controller(MPI_Comm comm) {
  mpisync_controller *ctrl = NULL;
  MPI_Win window;
  volatile long *count = shared(&window);
  OK(mpisync_controller_new(comm, "results", size - 1, &ctrl));
  for (int round = 0; round < ROUNDS; round++) {
    OK(mpisync_controller_read_lock(ctrl));
    CHECK(count[0] == count[1]);
    OK(mpisync_controller_unlock(ctrl));
    OK(mpisync_controller_write_lock(ctrl));
    count[0]++;
    count[1]++;
    OK(mpisync_controller_unlock(ctrl));
  }
  MPI_Barrier(comm);
  OK(mpisync_controller_read_lock_timeout(ctrl, 60));
  CHECK(count[0] == (long)size * ROUNDS);
  OK(mpisync_controller_unlock(ctrl));
  MPI_Barrier(comm);

  OK(mpisync_controller_write_lock_timeout(ctrl, 60));
  count[0]++;
  OK(mpisync_controller_downgrade(ctrl));
  OK(mpisync_controller_unlock(ctrl));
  MPI_Barrier(comm);

  for (int round = 0; round < 20; round++) {
    int writes, writer = round % (size + 1) == size ? -1 : round % (size + 1);
    char header[40] = "";
    OK(mpisync_single_write_begin(ctrl, writer, &writes));
    CHECK(writes == (rank == (writer == -1 ? size - 1 : writer)));
    if (writes) snprintf(header, sizeof header, "round %d by rank %d", round, rank);
    OK(mpisync_single_write_end(ctrl, NULL, header, sizeof header));
    char expected[40];
    snprintf(expected, sizeof expected, "round %d by rank %d", round, writer == -1 ? size - 1 : writer);
    CHECK(strcmp(header, expected) == 0);
  }
  int writes;
  OK(mpisync_single_write_begin(ctrl, -1, &writes));
  OK(mpisync_single_write_end(ctrl, NULL, NULL, 0));
  OK(mpisync_controller_close(ctrl));
  MPI_Win_free(&window);
}

static void mutex(MPI_Comm comm) {
  mpisync_mutex *mutex = NULL;
  MPI_Win window;
  volatile long *count = shared(&window);
  OK(mpisync_mutex_new(comm, NULL, 0, &mutex));
  for (int round = 0; round < ROUNDS; round++) {
    OK(mpisync_mutex_lock(mutex));
    count[0]++;
    OK(mpisync_mutex_unlock(mutex));
  }
  MPI_Barrier(comm);
  CHECK(count[0] == (long)size * ROUNDS);
  OK(mpisync_mutex_lock_timeout(mutex, 60));
  OK(mpisync_mutex_unlock(mutex));
  OK(mpisync_mutex_close(mutex));
  MPI_Win_free(&window);
}

static void semaphore(MPI_Comm comm) {
  mpisync_semaphore *semaphore = NULL;
  OK(mpisync_semaphore_new(comm, "licences", 0, 3, &semaphore));
  for (int round = 0; round < ROUNDS; round++) {
    OK(mpisync_semaphore_acquire(semaphore, 2));
    OK(mpisync_semaphore_release(semaphore, 2));
  }
  MPI_Barrier(comm);
  if (rank == 0) {
    OK(mpisync_semaphore_acquire_timeout(semaphore, 60, 1));
    OK(mpisync_semaphore_try_acquire(semaphore, 2));
    OK(mpisync_semaphore_release(semaphore, 1));
    OK(mpisync_semaphore_release(semaphore, 2));
  }
  OK(mpisync_semaphore_close(semaphore));
}

static void counter(MPI_Comm comm) {
  mpisync_counter *counter = NULL;
  int64_t number, sum = 0, all;
  OK(mpisync_counter_new(comm, "work", 0, 5, &counter));
  for (;;) {
    OK(mpisync_counter_next(counter, &number));
    if (number >= 1005) break;
    sum += number;
  }
  MPI_Allreduce(&sum, &all, 1, MPI_INT64_T, MPI_SUM, comm);
  CHECK(all == 504500); /* 5 + 6 + … + 1004 */
  OK(mpisync_counter_reserve(counter, 10, &number));
  OK(mpisync_counter_add(counter, -3, &number));
  MPI_Barrier(comm);
  OK(mpisync_counter_add(counter, 0, &number));
  CHECK(number == 1005 + (int64_t)size * (1 + 10 - 3));
  OK(mpisync_counter_close(counter));
}

static void barrier(MPI_Comm comm) {
  mpisync_barrier *barrier = NULL;
  MPI_Win window;
  volatile long *count = shared(&window);
  OK(mpisync_barrier_new(comm, NULL, &barrier));
  for (long round = 0; round < 50; round++) {
    if (rank == size - 1) count[0] = round;
    OK(mpisync_barrier_wait(barrier));
    CHECK(count[0] == round);
    OK(mpisync_barrier_wait_timeout(barrier, 60));
  }
  OK(mpisync_barrier_close(barrier));
  MPI_Win_free(&window);
}

static void region(MPI_Comm comm) {
  mpisync_region *region = NULL;
  size_t bytes = 100 * sizeof(double);
  OK(mpisync_region_new(comm, "field", 100, sizeof(double), &region));
  for (int round = 0; round < ROUNDS; round++) {
    void *data;
    OK(mpisync_region_write_lock(region, bytes, &data));
    CHECK((uintptr_t)data % 128 == 0);
    for (int i = 0; i < 100; i++) ((double *)data)[i] += i;
    OK(mpisync_region_unlock(region));
    const void *seen;
    OK(mpisync_region_read_lock(region, bytes, &seen));
    const double *field = seen;
    for (int i = 2; i < 100; i++) CHECK(field[i] == field[1] * i);
    OK(mpisync_region_unlock(region));
  }
  MPI_Barrier(comm);
  const void *seen;
  OK(mpisync_region_try_read_lock(region, bytes, &seen));
  CHECK(((const double *)seen)[99] == 99.0 * size * ROUNDS);
  OK(mpisync_region_unlock(region));
  OK(mpisync_region_close(region));
}

static void channel(MPI_Comm comm) {
  mpisync_channel *channel = NULL;
  size_t room, length;
  OK(mpisync_channel_new(comm, "results", 0, 8, 100, &channel));
  OK(mpisync_channel_message_size(channel, &room));
  CHECK(room == 100);
  if (rank == 0) OK(mpisync_channel_claim(channel, 50));
  MPI_Barrier(comm);
  char buffer[100], text[100];
  long sum = 0, all;
  if (rank == 0) {
    for (int i = 0, got; i < 50; i++) {
      snprintf(text, sizeof text, "message %d of rank %d", i, rank);
      /* The channel is smaller than the number of messages. */
      while ((got = mpisync_channel_try_put(channel, text, strlen(text) + 1)) == MPISYNC_BUSY) {
        got = mpisync_channel_try_take(channel, buffer, sizeof buffer, &length);
        if (got == MPISYNC_BUSY) continue;
        OK(got);
        sum += length;
      }
      OK(got);
    }
  }
  for (int got; (got = mpisync_channel_take(channel, buffer, sizeof buffer, &length)) != MPISYNC_END;) {
    OK(got);
    CHECK(length == strlen(buffer) + 1 && strncmp(buffer, "message ", 8) == 0);
    sum += length;
  }
  SAYS("the stream has ended");
  MPI_Allreduce(&sum, &all, 1, MPI_LONG, MPI_SUM, comm);
  CHECK(all == 10 * 20 + 40 * 21); /* "message 7 of rank 0", "message 10 of rank 0", and a zero */
  MPI_Barrier(comm);
  OK(mpisync_channel_free(channel));
}

static void batch(MPI_Comm comm) {
  mpisync_batch *batch = NULL;
  mpisync_summary summary;
  int64_t task, sum = 0, all;
  OK(mpisync_batch_new(comm, "survey", 0, 60, 1, NULL, &batch));
  for (int got; (got = mpisync_batch_next_task(batch, &task)) != MPISYNC_END;) {
    OK(got);
    sum += task;
    if (task == 7) OK(mpisync_batch_task_failed(batch, "seven"));
    else OK(mpisync_batch_task_done(batch));
  }
  OK(mpisync_batch_wait_all(batch, &summary));
  CHECK(summary.done == 59 && summary.failed == 1 && summary.open == 0);
  MPI_Allreduce(&sum, &all, 1, MPI_INT64_T, MPI_SUM, comm);
  CHECK(all == 60 * 59 / 2);
  OK(mpisync_batch_close(batch));
}

static void all(MPI_Comm comm) {
  controller(comm);
  mutex(comm);
  semaphore(comm);
  counter(comm);
  barrier(comm);
  region(comm);
  channel(comm);
  batch(comm);
}

int main(int argc, char **argv) {
  begin(&argc, &argv);
  all(MPI_COMM_WORLD);
  MPI_Comm copy, line;
  MPI_Comm_dup(MPI_COMM_WORLD, &copy);
  all(copy);
  MPI_Comm_free(&copy);
  int wraps = 0;
  MPI_Cart_create(MPI_COMM_WORLD, 1, &size, &wraps, 0, &line);
  counter(line);
  MPI_Comm_free(&line);

  mpisync_controller *alone, *left;
  OK(mpisync_controller_new(MPI_COMM_SELF, NULL, 0, &alone));
  OK(mpisync_controller_write_lock(alone));
  OK(mpisync_controller_free(alone));
  OK(mpisync_controller_free(NULL));

  /* What is left is freed by MPI_Finalize. Afterwards calls are errors. */
  OK(mpisync_controller_new(MPI_COMM_WORLD, "left", 0, &left));
  int result = end();
  EXPECT(MPISYNC_ERR_FINALIZED, mpisync_controller_read_lock(left));
  EXPECT(MPISYNC_ERR_FINALIZED, mpisync_controller_try_write_lock(left));
  EXPECT(MPISYNC_ERR_FINALIZED, mpisync_controller_close(left));
  EXPECT(MPISYNC_ERR_FINALIZED, mpisync_controller_new(MPI_COMM_WORLD, NULL, 0, &left));
  return result;
}
