/*
 * Ranks compute results and write them to one file, in turns. One rank creates the file and shares
 * its header, a counter hands out the work, and a lock lets one rank write at a time.
 *
 * turns_mpi.c is the same in MPI alone.
 */
#include <mpisync.h>
#include <stdio.h>
#include <stdlib.h>

struct header {
  int64_t results;
  double step;
};

/* Ends the job if a call has failed. */
static void check(mpisync_status status) {
  if (status == MPISYNC_OK) return;
  fprintf(stderr, "%s\n", mpisync_last_error_message());
  MPI_Abort(MPI_COMM_WORLD, 1);
}

/* Creates the file; returns a reason if that fails. */
static const char *create(const char *path, const struct header *header) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return "the file cannot be created";
  int written = fprintf(file, "# %lld results\n", (long long)header->results);
  if (fclose(file) != 0 || written < 0) return "the header cannot be written";
  return NULL;
}

int main(int argc, char **argv) {
  int rank, writes;
  check(mpisync_init());
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const char *path = argc > 1 ? argv[1] : "results.txt";

  mpisync_controller *file_lock;
  mpisync_counter *work;
  check(mpisync_controller_new(MPI_COMM_WORLD, "results", 0, &file_lock));
  check(mpisync_counter_new(MPI_COMM_WORLD, "work", 0, 0, &work));

  struct header header = {0, 0};
  const char *failure = NULL;
  check(mpisync_single_write_begin(file_lock, -1, &writes));
  if (writes) {
    header = (struct header){.results = 100, .step = 0.01};
    failure = create(path, &header);
  }
  check(mpisync_single_write_end(file_lock, failure, &header, sizeof header));

  for (;;) {
    int64_t number;
    check(mpisync_counter_next(work, &number));
    if (number >= header.results) break;
    double x = (double)number * header.step;

    check(mpisync_controller_write_lock(file_lock));
    FILE *file = fopen(path, "a");
    if (file == NULL || fprintf(file, "%lld %.4f\n", (long long)number, x * x) < 0 || fclose(file) != 0)
      MPI_Abort(MPI_COMM_WORLD, 1);
    check(mpisync_controller_unlock(file_lock));
  }

  check(mpisync_counter_close(work));
  check(mpisync_controller_close(file_lock)); /* all ranks have written */
  if (rank == 0) printf("%lld results in %s\n", (long long)header.results, path);
  check(mpisync_finalize());
  return 0;
}
