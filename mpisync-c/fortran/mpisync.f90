! mpisync for Fortran: locks, channels, shared memory and task queues for the ranks of an MPI program.
!
! A thin layer over mpisync.h, where each function is described. Every function returns a status, which
! is MPISYNC_OK or another of the constants below; mpisync_last_error_message() tells what went wrong.
!
! `use mpisync` also gives the names of iso_c_binding.
!
! - A handle is a type(c_ptr). It belongs to the thread that made it.
! - A communicator is an integer: that of `use mpi`, or `comm%mpi_val` with `use mpi_f08`.
! - Ranks, sizes of workers and numbers of permits are default integers; numbers of a counter, of tasks
!   and of claimed messages are integer(c_int64_t); sizes in bytes are integer(c_size_t).
! - Data is passed as its address, `c_loc(variable)`; the address of a region's items becomes an array
!   by c_f_pointer.
! - A name or a directory is a text; an empty one, or one of blanks, is none.
module mpisync
  use mpisync_interfaces
  implicit none
  private :: c_last_error_message, c_status_name, c_version, c_single_write_end, c_task_failed, &
              c_controller_new, c_mutex_new, c_semaphore_new, c_counter_new, c_barrier_new, &
              c_region_new, c_channel_new, c_batch_new, c_strlen, address, to_c, from_c

contains

  ! The message of the last call of this thread that did not return MPISYNC_OK.
  function mpisync_last_error_message() result(text)
    character(:), allocatable :: text
    text = from_c(c_last_error_message())
  end function

  ! The name of a status.
  function mpisync_status_name(status) result(text)
    integer(c_int), intent(in) :: status
    character(:), allocatable :: text
    text = from_c(c_status_name(status))
  end function

  ! The version of the library.
  function mpisync_version() result(text)
    character(:), allocatable :: text
    text = from_c(c_version())
  end function

  integer(c_int) function mpisync_controller_new(comm, name, master, controller) result(status)
    integer, intent(in) :: comm, master
    character(*), intent(in) :: name
    type(c_ptr), intent(out) :: controller
    character(kind=c_char), allocatable, target :: text(:)
    controller = c_null_ptr
    status = c_controller_new(int(comm, c_int), address(name, text), int(master, c_int), controller)
  end function

  integer(c_int) function mpisync_mutex_new(comm, name, root, mutex) result(status)
    integer, intent(in) :: comm, root
    character(*), intent(in) :: name
    type(c_ptr), intent(out) :: mutex
    character(kind=c_char), allocatable, target :: text(:)
    mutex = c_null_ptr
    status = c_mutex_new(int(comm, c_int), address(name, text), int(root, c_int), mutex)
  end function

  integer(c_int) function mpisync_semaphore_new(comm, name, root, permits, semaphore) result(status)
    integer, intent(in) :: comm, root, permits
    character(*), intent(in) :: name
    type(c_ptr), intent(out) :: semaphore
    character(kind=c_char), allocatable, target :: text(:)
    semaphore = c_null_ptr
    status = c_semaphore_new(int(comm, c_int), address(name, text), int(root, c_int), int(permits, c_int), semaphore)
  end function

  integer(c_int) function mpisync_counter_new(comm, name, root, start, counter) result(status)
    integer, intent(in) :: comm, root
    character(*), intent(in) :: name
    integer(c_int64_t), intent(in) :: start
    type(c_ptr), intent(out) :: counter
    character(kind=c_char), allocatable, target :: text(:)
    counter = c_null_ptr
    status = c_counter_new(int(comm, c_int), address(name, text), int(root, c_int), start, counter)
  end function

  integer(c_int) function mpisync_barrier_new(comm, name, barrier) result(status)
    integer, intent(in) :: comm
    character(*), intent(in) :: name
    type(c_ptr), intent(out) :: barrier
    character(kind=c_char), allocatable, target :: text(:)
    barrier = c_null_ptr
    status = c_barrier_new(int(comm, c_int), address(name, text), barrier)
  end function

  integer(c_int) function mpisync_region_new(comm, name, items, item_size, region) result(status)
    integer, intent(in) :: comm
    character(*), intent(in) :: name
    integer(c_size_t), intent(in) :: items, item_size
    type(c_ptr), intent(out) :: region
    character(kind=c_char), allocatable, target :: text(:)
    region = c_null_ptr
    status = c_region_new(int(comm, c_int), address(name, text), items, item_size, region)
  end function

  integer(c_int) function mpisync_channel_new(comm, name, root, capacity, message_size, channel) result(status)
    integer, intent(in) :: comm, root
    character(*), intent(in) :: name
    integer(c_size_t), intent(in) :: capacity, message_size
    type(c_ptr), intent(out) :: channel
    character(kind=c_char), allocatable, target :: text(:)
    channel = c_null_ptr
    status = c_channel_new(int(comm, c_int), address(name, text), int(root, c_int), capacity, &
                           message_size, channel)
  end function

  integer(c_int) function mpisync_batch_new(comm, name, root, tasks, worker_size, state_dir, batch) result(status)
    integer, intent(in) :: comm, root, worker_size
    character(*), intent(in) :: name, state_dir
    integer(c_int64_t), intent(in) :: tasks
    type(c_ptr), intent(out) :: batch
    character(kind=c_char), allocatable, target :: text(:), directory(:)
    batch = c_null_ptr
    status = c_batch_new(int(comm, c_int), address(name, text), int(root, c_int), tasks, &
                         int(worker_size, c_int), address(state_dir, directory), batch)
  end function

  ! Without `failure`, the writer has not failed. It is the last argument here, because it is optional,
  ! and the second one in C.
  integer(c_int) function mpisync_single_write_end(controller, data, size, failure) result(status)
    type(c_ptr), intent(in) :: controller, data
    integer(c_size_t), intent(in) :: size
    character(*), intent(in), optional :: failure
    character(kind=c_char), allocatable, target :: text(:)
    type(c_ptr) :: reason
    reason = c_null_ptr
    if (present(failure)) then
      text = to_c(failure)
      reason = c_loc(text)
    end if
    status = c_single_write_end(controller, reason, data, size)
  end function

  integer(c_int) function mpisync_batch_task_failed(batch, reason) result(status)
    type(c_ptr), intent(in) :: batch
    character(*), intent(in) :: reason
    status = c_task_failed(batch, to_c(reason))
  end function

  ! The address of a text of C, whose memory is `memory`; null for an empty one.
  function address(text, memory)
    character(*), intent(in) :: text
    character(kind=c_char), allocatable, target, intent(out) :: memory(:)
    type(c_ptr) :: address
    memory = to_c(text)
    address = c_null_ptr
    if (len_trim(text) > 0) address = c_loc(memory)
  end function

  ! The characters of a text without the blanks at its end, and a zero.
  pure function to_c(text) result(characters)
    character(*), intent(in) :: text
    character(kind=c_char) :: characters(len_trim(text) + 1)
    integer :: i
    do i = 1, len_trim(text)
      characters(i) = text(i:i)
    end do
    characters(len_trim(text) + 1) = c_null_char
  end function

  function from_c(address) result(text)
    type(c_ptr), intent(in) :: address
    character(:), allocatable :: text
    character(kind=c_char), pointer :: characters(:)
    integer :: i
    call c_f_pointer(address, characters, [c_strlen(address)])
    allocate (character(size(characters)) :: text)
    do i = 1, size(characters)
      text(i:i) = characters(i)
    end do
  end function

end module
