/* What the test programs have in common: every unexpected status ends the job with a message. */
#ifndef CHECK_H
#define CHECK_H

#include <mpisync.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size;
/* With the argument "init" the library initializes and finalizes MPI, with "mixed" it only initializes. */
static int by_library, finalized_by_library;

/* Ends the job, or only this rank where MPI does not run. */
static inline void fail(void) {
  int initialized, finalized;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized && !finalized) MPI_Abort(MPI_COMM_WORLD, 1);
  exit(1);
}

#define EXPECT(status, call)                                                                       \
  do {                                                                                             \
    int found = (call);                                                                            \
    if (found != (status)) {                                                                       \
      fprintf(stderr, "rank %d, %s:%d: %s is %s instead of %s: %s\n", rank, __FILE__, __LINE__,   \
              #call, mpisync_status_name(found), #status, mpisync_last_error_message());           \
      fail();                                                                                      \
    }                                                                                              \
  } while (0)

#define OK(call) EXPECT(MPISYNC_OK, call)

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "rank %d, %s:%d: not %s\n", rank, __FILE__, __LINE__, #condition);           \
      fail();                                                                                      \
    }                                                                                              \
  } while (0)

/* The last message says this. */
#define SAYS(text) CHECK(strstr(mpisync_last_error_message(), text) != NULL)

static inline void begin(int *argc, char ***argv) {
  int provided;
  finalized_by_library = *argc > 1 && strcmp((*argv)[1], "init") == 0;
  by_library = finalized_by_library || (*argc > 1 && strcmp((*argv)[1], "mixed") == 0);
  if (by_library) OK(mpisync_init());
  else MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
}

static inline int end(void) {
  MPI_Barrier(MPI_COMM_WORLD);
  if (finalized_by_library) OK(mpisync_finalize());
  else MPI_Finalize();
  EXPECT(MPISYNC_ERR_FINALIZED, mpisync_finalize());
  if (by_library && !finalized_by_library) SAYS("MPI is finalized");
  if (rank == 0) printf("passed on %d ranks\n", size);
  return 0;
}

#endif
