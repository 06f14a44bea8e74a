/*
 * The same as turns.c, in MPI alone: a window has the counter and a lock, which is a ticket lock; the
 * header and the failure to create the file are broadcast.
 *
 * What it lacks: a rank that waits polls the memory of rank 0. A rank that dies with the lock leaves
 * the others waiting for ever, and ranks that make different calls hang.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct header {
  int64_t results;
  double step;
};

/* The words of the window, which are those of rank 0. */
enum { TICKET, SERVED, COUNT, WORDS };

static MPI_Win window;

static void make_window(int rank) {
  int64_t *words;
  MPI_Aint bytes = rank == 0 ? WORDS * sizeof *words : 0;
  MPI_Win_allocate(bytes, sizeof *words, MPI_INFO_NULL, MPI_COMM_WORLD, &words, &window);
  MPI_Win_lock_all(0, window);
  if (rank == 0) words[TICKET] = words[SERVED] = words[COUNT] = 0;
  MPI_Win_sync(window);
  MPI_Barrier(MPI_COMM_WORLD);
}

/* Adds to a word; returns what it was. */
static int64_t add(int64_t amount, int word) {
  int64_t before;
  MPI_Fetch_and_op(&amount, &before, MPI_INT64_T, 0, word, MPI_SUM, window);
  MPI_Win_flush(0, window);
  return before;
}

static void lock(void) {
  int64_t ticket = add(1, TICKET);
  while (add(0, SERVED) != ticket) continue;
}

static void unlock(void) { add(1, SERVED); }

/* Creates the file; returns whether it has. */
static int create(const char *path, const struct header *header) {
  FILE *file = fopen(path, "w");
  if (file == NULL) return 0;
  int written = fprintf(file, "# %lld results\n", (long long)header->results);
  return fclose(file) == 0 && written >= 0;
}

int main(int argc, char **argv) {
  int rank;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const char *path = argc > 1 ? argv[1] : "results.txt";
  make_window(rank);

  struct header header = {0, 0};
  int created = 0;
  if (rank == 0) {
    header = (struct header){.results = 100, .step = 0.01};
    created = create(path, &header);
  }
  MPI_Bcast(&created, 1, MPI_INT, 0, MPI_COMM_WORLD);
  if (!created) {
    if (rank == 0) fprintf(stderr, "the file cannot be created\n");
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Bcast(&header, sizeof header, MPI_BYTE, 0, MPI_COMM_WORLD);

  for (;;) {
    int64_t number = add(1, COUNT);
    if (number >= header.results) break;
    double x = (double)number * header.step;

    lock();
    FILE *file = fopen(path, "a");
    if (file == NULL || fprintf(file, "%lld %.4f\n", (long long)number, x * x) < 0 || fclose(file) != 0)
      MPI_Abort(MPI_COMM_WORLD, 1);
    unlock();
  }

  MPI_Win_unlock_all(window);
  MPI_Win_free(&window); /* all ranks have written */
  if (rank == 0) printf("%lld results in %s\n", (long long)header.results, path);
  MPI_Finalize();
  return 0;
}
