! Every object from Fortran, with the communicators of `use mpi`.
program objects
  use mpi
  use mpisync
  implicit none

  integer :: rank, ranks, error

  call finalized()
  call MPI_Init(error)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, error)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks, error)
  call locks()
  call counters()
  call regions()
  call channels()
  call batches()
  call mistakes()
  call MPI_Barrier(MPI_COMM_WORLD, error)
  call MPI_Finalize(error)
  call finalized()
  if (rank == 0) print "(a, i0, a)", "passed on ", ranks, " ranks"

contains

  subroutine expect(expected, status)
    integer(c_int), intent(in) :: expected, status
    if (status == expected) return
    print "(6a)", mpisync_status_name(status), " instead of ", mpisync_status_name(expected), ": ", &
      mpisync_last_error_message()
    call MPI_Abort(MPI_COMM_WORLD, 1, error)
  end subroutine

  subroutine ok(status)
    integer(c_int), intent(in) :: status
    call expect(MPISYNC_OK, status)
  end subroutine

  subroutine check(is_true, what)
    logical, intent(in) :: is_true
    character(*), intent(in) :: what
    if (is_true) return
    print "(a, i0, 2a)", "rank ", rank, ": not ", what
    call MPI_Abort(MPI_COMM_WORLD, 1, error)
  end subroutine

  subroutine locks()
    type(c_ptr) :: ctrl, mutex, semaphore, barrier
    integer(c_int) :: writes, taken
    integer(c_int64_t), target :: shared(3)
    call ok(mpisync_controller_new(MPI_COMM_WORLD, "file  ", ranks - 1, ctrl))
    call ok(mpisync_mutex_new(MPI_COMM_WORLD, "", 0, mutex))
    call ok(mpisync_semaphore_new(MPI_COMM_WORLD, "", 0, ranks, semaphore))
    call ok(mpisync_barrier_new(MPI_COMM_WORLD, "", barrier))
    call ok(mpisync_controller_read_lock(ctrl))
    call ok(mpisync_controller_unlock(ctrl))
    call ok(mpisync_controller_write_lock_timeout(ctrl, 60.0_c_double))
    call ok(mpisync_controller_downgrade(ctrl))
    call ok(mpisync_controller_unlock(ctrl))
    call ok(mpisync_controller_take_over(ctrl, taken))
    call check(taken == 0, "taken over")
    shared = 0
    call ok(mpisync_single_write_begin(ctrl, -1_c_int, writes))
    call check((writes == 1) .eqv. (rank == ranks - 1), "the master writes")
    if (writes == 1) shared = [3_c_int64_t, 1_c_int64_t, 4_c_int64_t]
    call ok(mpisync_single_write_end(ctrl, c_loc(shared), c_sizeof(shared)))
    call check(all(shared == [3, 1, 4]), "the shared numbers")
    call ok(mpisync_single_write_begin(ctrl, 0_c_int, writes))
    if (writes == 1) then
      call expect(MPISYNC_ERR_WRITER_FAILED, &
                  mpisync_single_write_end(ctrl, c_null_ptr, 0_c_size_t, failure="no space "))
    else
      call expect(MPISYNC_ERR_WRITER_FAILED, mpisync_single_write_end(ctrl, c_null_ptr, 0_c_size_t))
    end if
    call check(index(mpisync_last_error_message(), "no space") > 0, "the reason")
    call ok(mpisync_mutex_lock(mutex))
    call ok(mpisync_mutex_unlock(mutex))
    call ok(mpisync_semaphore_acquire(semaphore, 1_c_int))
    call ok(mpisync_semaphore_release(semaphore, 1_c_int))
    call ok(mpisync_semaphore_clear_poison(semaphore))
    call ok(mpisync_barrier_wait(barrier))
    call ok(mpisync_barrier_close(barrier))
    call ok(mpisync_semaphore_close(semaphore))
    call ok(mpisync_mutex_close(mutex))
    call ok(mpisync_controller_close(ctrl))
  end subroutine

  subroutine counters()
    type(c_ptr) :: counter
    integer(c_int64_t) :: number, mine, total
    call ok(mpisync_counter_new(MPI_COMM_WORLD, "work", 0, 1_c_int64_t, counter))
    mine = 0
    do
      call ok(mpisync_counter_next(counter, number))
      if (number > 100) exit
      mine = mine + number
    end do
    call MPI_Allreduce(mine, total, 1, MPI_INTEGER8, MPI_SUM, MPI_COMM_WORLD, error)
    call check(total == 5050, "the sum of the numbers")
    call ok(mpisync_counter_close(counter))
  end subroutine

  subroutine regions()
    type(c_ptr) :: region, data
    real(c_double), pointer :: field(:)
    integer(c_size_t), parameter :: items = 50, item = 8
    call ok(mpisync_region_new(MPI_COMM_WORLD, "field", items, item, region))
    call ok(mpisync_region_write_lock(region, items * item, data))
    call c_f_pointer(data, field, [items])
    field = field + 1
    call ok(mpisync_region_unlock(region))
    call MPI_Barrier(MPI_COMM_WORLD, error)
    call ok(mpisync_region_read_lock(region, items * item, data))
    call c_f_pointer(data, field, [items])
    call check(all(nint(field) == ranks), "the field")
    call ok(mpisync_region_unlock(region))
    call expect(MPISYNC_ERR_SIZE, mpisync_region_read_lock(region, items * item + 1, data))
    call ok(mpisync_region_close(region))
  end subroutine

  subroutine channels()
    type(c_ptr) :: channel
    integer(c_size_t) :: room, length
    character(kind=c_char), target :: message(10)
    integer(c_int) :: status
    ! As in the other reduction: the module of MPICH has no interface, so the compiler compares the two.
    integer(c_int64_t) :: mine, total
    call ok(mpisync_channel_new(MPI_COMM_WORLD, "", 0, 100_c_size_t, 10_c_size_t, channel))
    call ok(mpisync_channel_message_size(channel, room))
    call check(room == size(message), "the room of a message")
    call ok(mpisync_channel_claim(channel, 2_c_int64_t))
    call MPI_Barrier(MPI_COMM_WORLD, error)
    message(1:3) = ["a", "b", "c"]
    call ok(mpisync_channel_put(channel, c_loc(message), 3_c_size_t))
    call ok(mpisync_channel_put(channel, c_loc(message), 2_c_size_t))
    mine = 0
    do
      status = mpisync_channel_take(channel, c_loc(message), size(message, kind=c_size_t), length)
      if (status == MPISYNC_END) exit
      call ok(status)
      mine = mine + int(length, c_int64_t)
    end do
    call MPI_Allreduce(mine, total, 1, MPI_INTEGER8, MPI_SUM, MPI_COMM_WORLD, error)
    call check(total == 5 * ranks, "the lengths of the messages")
    call ok(mpisync_channel_free(channel))
  end subroutine

  subroutine batches()
    type(c_ptr) :: batch
    type(mpisync_summary) :: summary
    integer(c_int64_t) :: task
    integer(c_int) :: status
    call ok(mpisync_batch_new(MPI_COMM_WORLD, "survey", 0, 20_c_int64_t, 1, "", batch))
    do
      status = mpisync_batch_next_task(batch, task)
      if (status == MPISYNC_END) exit
      call ok(status)
      if (task == 3) then
        call ok(mpisync_batch_task_failed(batch, "no input"))
      else
        call ok(mpisync_batch_task_done(batch))
      end if
    end do
    call ok(mpisync_batch_wait_all(batch, summary))
    call check(summary%done == 19 .and. summary%failed == 1, "the summary")
    call ok(mpisync_batch_close(batch))
  end subroutine

  ! Where MPI does not run.
  subroutine finalized()
    type(c_ptr) :: mutex
    if (mpisync_mutex_new(MPI_COMM_WORLD, "", 0, mutex) == MPISYNC_ERR_FINALIZED) return
    print "(2a)", "not MPISYNC_ERR_FINALIZED: ", mpisync_last_error_message()
    error stop
  end subroutine

  subroutine mistakes()
    type(c_ptr) :: mutex
    call expect(MPISYNC_ERR_HANDLE, mpisync_mutex_lock(c_null_ptr))
    call expect(MPISYNC_ERR_ARGUMENT, mpisync_mutex_new(MPI_COMM_NULL, "", 0, mutex))
    call check(.not. c_associated(mutex), "no mutex")
    call ok(mpisync_mutex_new(MPI_COMM_SELF, "own", 0, mutex))
    call expect(MPISYNC_ERR_NOT_HELD, mpisync_mutex_unlock(mutex))
    call check(index(mpisync_last_error_message(), "does not hold the lock of the mutex") > 0, "the message")
    call check(mpisync_last_error_rank() == -1, "no rank")
    call check(index(mpisync_version(), ".") > 0, "the version")
    call ok(mpisync_mutex_close(mutex))
    call expect(MPISYNC_ERR_HANDLE, mpisync_mutex_unlock(mutex))
  end subroutine

end program
