/* New objects on the communicators of Fortran, which are integers. For the module in mpisync.f90. */
#include <mpisync.h>

/* MPI must run for the conversion. Where it does not, the library finds that before it looks at the
 * communicator. */
static MPI_Comm communicator(int comm) {
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized && !finalized ? MPI_Comm_f2c(comm) : MPI_COMM_NULL;
}

#define NEW(object, parameters, ...)                                                               \
  mpisync_status mpisync_fortran_##object##_new parameters;                                        \
  mpisync_status mpisync_fortran_##object##_new parameters {                                       \
    return mpisync_##object##_new(communicator(comm), __VA_ARGS__);                                \
  }

NEW(controller, (int comm, const char *name, int master, mpisync_controller **controller),
    name, master, controller)

NEW(mutex, (int comm, const char *name, int root, mpisync_mutex **mutex), name, root, mutex)

NEW(semaphore,
    (int comm, const char *name, int root, int permits, mpisync_semaphore **semaphore), name,
    root, permits, semaphore)

NEW(counter, (int comm, const char *name, int root, int64_t start, mpisync_counter **counter),
    name, root, start, counter)

NEW(barrier, (int comm, const char *name, mpisync_barrier **barrier), name, barrier)

NEW(region,
    (int comm, const char *name, size_t items, size_t item_size, mpisync_region **region),
    name, items, item_size, region)

NEW(channel,
    (int comm, const char *name, int root, size_t capacity, size_t message_size,
     mpisync_channel **channel),
    name, root, capacity, message_size, channel)

NEW(batch,
    (int comm, const char *name, int root, int64_t tasks, int worker_size,
     const char *state_dir, mpisync_batch **batch),
    name, root, tasks, worker_size, state_dir, batch)
