! What the module in mpisync.f90 needs of mpisync.h: the constants, and the functions with the types of C.
module mpisync_interfaces
  use, intrinsic :: iso_c_binding
  implicit none

  integer(c_int), parameter :: MPISYNC_OK = 0
  integer(c_int), parameter :: MPISYNC_BUSY = 1
  integer(c_int), parameter :: MPISYNC_TIMEOUT = 2
  integer(c_int), parameter :: MPISYNC_END = 3
  integer(c_int), parameter :: MPISYNC_ERR_ARGUMENT = 10
  integer(c_int), parameter :: MPISYNC_ERR_HANDLE = 11
  integer(c_int), parameter :: MPISYNC_ERR_HELD = 12
  integer(c_int), parameter :: MPISYNC_ERR_NOT_HELD = 13
  integer(c_int), parameter :: MPISYNC_ERR_SIZE = 14
  integer(c_int), parameter :: MPISYNC_ERR_FINALIZED = 15
  integer(c_int), parameter :: MPISYNC_ERR_MEMORY = 16
  integer(c_int), parameter :: MPISYNC_ERR_CREATE = 17
  integer(c_int), parameter :: MPISYNC_ERR_DIVERGED = 18
  integer(c_int), parameter :: MPISYNC_ERR_RANK_DIED = 20
  integer(c_int), parameter :: MPISYNC_ERR_RANK_ENDED = 21
  integer(c_int), parameter :: MPISYNC_ERR_POISONED = 22
  integer(c_int), parameter :: MPISYNC_ERR_HOST_SILENT = 23
  integer(c_int), parameter :: MPISYNC_ERR_DEADLOCK = 24
  integer(c_int), parameter :: MPISYNC_ERR_WRITER_FAILED = 25
  integer(c_int), parameter :: MPISYNC_ERR_CLOSED = 26
  integer(c_int), parameter :: MPISYNC_ERR_USED_UP = 27
  integer(c_int), parameter :: MPISYNC_ERR_TASK = 28
  integer(c_int), parameter :: MPISYNC_ERR_INTERNAL = 99

  ! The numbers of a batch's tasks in each state.
  type, bind(c) :: mpisync_summary
    integer(c_int64_t) :: open, running, done, failed, invalid
  end type

  ! The functions that take and return the types of C.
  interface
    integer(c_int) function mpisync_last_error_rank() bind(c)
      import
    end function
    integer(c_int) function mpisync_init() bind(c)
      import
    end function
    integer(c_int) function mpisync_finalize() bind(c)
      import
    end function
    integer(c_int) function mpisync_controller_read_lock(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_controller_try_read_lock(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_controller_read_lock_timeout(controller, seconds) bind(c)
      import
      type(c_ptr), value :: controller
      real(c_double), value :: seconds
    end function
    integer(c_int) function mpisync_controller_write_lock(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_controller_try_write_lock(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_controller_write_lock_timeout(controller, seconds) bind(c)
      import
      type(c_ptr), value :: controller
      real(c_double), value :: seconds
    end function
    integer(c_int) function mpisync_controller_unlock(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_controller_downgrade(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_controller_take_over(controller, taken) bind(c)
      import
      type(c_ptr), value :: controller
      integer(c_int), intent(out) :: taken
    end function
    integer(c_int) function mpisync_controller_clear_poison(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_single_write_begin(controller, writer, writes) bind(c)
      import
      type(c_ptr), value :: controller
      integer(c_int), value :: writer
      integer(c_int), intent(out) :: writes
    end function
    integer(c_int) function mpisync_controller_close(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_controller_free(controller) bind(c)
      import
      type(c_ptr), value :: controller
    end function
    integer(c_int) function mpisync_mutex_lock(mutex) bind(c)
      import
      type(c_ptr), value :: mutex
    end function
    integer(c_int) function mpisync_mutex_try_lock(mutex) bind(c)
      import
      type(c_ptr), value :: mutex
    end function
    integer(c_int) function mpisync_mutex_lock_timeout(mutex, seconds) bind(c)
      import
      type(c_ptr), value :: mutex
      real(c_double), value :: seconds
    end function
    integer(c_int) function mpisync_mutex_unlock(mutex) bind(c)
      import
      type(c_ptr), value :: mutex
    end function
    integer(c_int) function mpisync_mutex_clear_poison(mutex) bind(c)
      import
      type(c_ptr), value :: mutex
    end function
    integer(c_int) function mpisync_mutex_close(mutex) bind(c)
      import
      type(c_ptr), value :: mutex
    end function
    integer(c_int) function mpisync_mutex_free(mutex) bind(c)
      import
      type(c_ptr), value :: mutex
    end function
    integer(c_int) function mpisync_semaphore_acquire(semaphore, permits) bind(c)
      import
      type(c_ptr), value :: semaphore
      integer(c_int), value :: permits
    end function
    integer(c_int) function mpisync_semaphore_try_acquire(semaphore, permits) bind(c)
      import
      type(c_ptr), value :: semaphore
      integer(c_int), value :: permits
    end function
    integer(c_int) function mpisync_semaphore_acquire_timeout(semaphore, seconds, permits) bind(c)
      import
      type(c_ptr), value :: semaphore
      real(c_double), value :: seconds
      integer(c_int), value :: permits
    end function
    integer(c_int) function mpisync_semaphore_release(semaphore, permits) bind(c)
      import
      type(c_ptr), value :: semaphore
      integer(c_int), value :: permits
    end function
    integer(c_int) function mpisync_semaphore_clear_poison(semaphore) bind(c)
      import
      type(c_ptr), value :: semaphore
    end function
    integer(c_int) function mpisync_semaphore_close(semaphore) bind(c)
      import
      type(c_ptr), value :: semaphore
    end function
    integer(c_int) function mpisync_semaphore_free(semaphore) bind(c)
      import
      type(c_ptr), value :: semaphore
    end function
    integer(c_int) function mpisync_counter_next(counter, number) bind(c)
      import
      type(c_ptr), value :: counter
      integer(c_int64_t), intent(out) :: number
    end function
    integer(c_int) function mpisync_counter_reserve(counter, numbers, first) bind(c)
      import
      type(c_ptr), value :: counter
      integer(c_int64_t), value :: numbers
      integer(c_int64_t), intent(out) :: first
    end function
    integer(c_int) function mpisync_counter_add(counter, amount, before) bind(c)
      import
      type(c_ptr), value :: counter
      integer(c_int64_t), value :: amount
      integer(c_int64_t), intent(out) :: before
    end function
    integer(c_int) function mpisync_counter_close(counter) bind(c)
      import
      type(c_ptr), value :: counter
    end function
    integer(c_int) function mpisync_counter_free(counter) bind(c)
      import
      type(c_ptr), value :: counter
    end function
    integer(c_int) function mpisync_barrier_wait(barrier) bind(c)
      import
      type(c_ptr), value :: barrier
    end function
    integer(c_int) function mpisync_barrier_wait_timeout(barrier, seconds) bind(c)
      import
      type(c_ptr), value :: barrier
      real(c_double), value :: seconds
    end function
    integer(c_int) function mpisync_barrier_close(barrier) bind(c)
      import
      type(c_ptr), value :: barrier
    end function
    integer(c_int) function mpisync_barrier_free(barrier) bind(c)
      import
      type(c_ptr), value :: barrier
    end function
    integer(c_int) function mpisync_region_read_lock(region, size, data) bind(c)
      import
      type(c_ptr), value :: region
      integer(c_size_t), value :: size
      type(c_ptr), intent(out) :: data
    end function
    integer(c_int) function mpisync_region_try_read_lock(region, size, data) bind(c)
      import
      type(c_ptr), value :: region
      integer(c_size_t), value :: size
      type(c_ptr), intent(out) :: data
    end function
    integer(c_int) function mpisync_region_read_lock_timeout(region, seconds, size, data) bind(c)
      import
      type(c_ptr), value :: region
      real(c_double), value :: seconds
      integer(c_size_t), value :: size
      type(c_ptr), intent(out) :: data
    end function
    integer(c_int) function mpisync_region_write_lock(region, size, data) bind(c)
      import
      type(c_ptr), value :: region
      integer(c_size_t), value :: size
      type(c_ptr), intent(out) :: data
    end function
    integer(c_int) function mpisync_region_try_write_lock(region, size, data) bind(c)
      import
      type(c_ptr), value :: region
      integer(c_size_t), value :: size
      type(c_ptr), intent(out) :: data
    end function
    integer(c_int) function mpisync_region_write_lock_timeout(region, seconds, size, data) bind(c)
      import
      type(c_ptr), value :: region
      real(c_double), value :: seconds
      integer(c_size_t), value :: size
      type(c_ptr), intent(out) :: data
    end function
    integer(c_int) function mpisync_region_unlock(region) bind(c)
      import
      type(c_ptr), value :: region
    end function
    integer(c_int) function mpisync_region_clear_poison(region) bind(c)
      import
      type(c_ptr), value :: region
    end function
    integer(c_int) function mpisync_region_close(region) bind(c)
      import
      type(c_ptr), value :: region
    end function
    integer(c_int) function mpisync_region_free(region) bind(c)
      import
      type(c_ptr), value :: region
    end function
    integer(c_int) function mpisync_channel_message_size(channel, size) bind(c)
      import
      type(c_ptr), value :: channel
      integer(c_size_t), intent(out) :: size
    end function
    integer(c_int) function mpisync_channel_put(channel, message, size) bind(c)
      import
      type(c_ptr), value :: channel, message
      integer(c_size_t), value :: size
    end function
    integer(c_int) function mpisync_channel_try_put(channel, message, size) bind(c)
      import
      type(c_ptr), value :: channel, message
      integer(c_size_t), value :: size
    end function
    integer(c_int) function mpisync_channel_put_timeout(channel, seconds, message, size) bind(c)
      import
      type(c_ptr), value :: channel
      real(c_double), value :: seconds
      type(c_ptr), value :: message
      integer(c_size_t), value :: size
    end function
    integer(c_int) function mpisync_channel_take(channel, buffer, capacity, size) bind(c)
      import
      type(c_ptr), value :: channel, buffer
      integer(c_size_t), value :: capacity
      integer(c_size_t), intent(out) :: size
    end function
    integer(c_int) function mpisync_channel_try_take(channel, buffer, capacity, size) bind(c)
      import
      type(c_ptr), value :: channel, buffer
      integer(c_size_t), value :: capacity
      integer(c_size_t), intent(out) :: size
    end function
    integer(c_int) function mpisync_channel_take_timeout(channel, seconds, buffer, capacity, size) bind(c)
      import
      type(c_ptr), value :: channel
      real(c_double), value :: seconds
      type(c_ptr), value :: buffer
      integer(c_size_t), value :: capacity
      integer(c_size_t), intent(out) :: size
    end function
    integer(c_int) function mpisync_channel_claim(channel, messages) bind(c)
      import
      type(c_ptr), value :: channel
      integer(c_int64_t), value :: messages
    end function
    integer(c_int) function mpisync_channel_free(channel) bind(c)
      import
      type(c_ptr), value :: channel
    end function
    integer(c_int) function mpisync_batch_next_task(batch, task) bind(c)
      import
      type(c_ptr), value :: batch
      integer(c_int64_t), intent(out) :: task
    end function
    integer(c_int) function mpisync_batch_task_done(batch) bind(c)
      import
      type(c_ptr), value :: batch
    end function
    integer(c_int) function mpisync_batch_task_reopen(batch) bind(c)
      import
      type(c_ptr), value :: batch
    end function
    integer(c_int) function mpisync_batch_wait_all(batch, summary) bind(c)
      import
      type(c_ptr), value :: batch
      type(mpisync_summary), intent(out) :: summary
    end function
    integer(c_int) function mpisync_batch_close(batch) bind(c)
      import
      type(c_ptr), value :: batch
    end function
    integer(c_int) function mpisync_batch_free(batch) bind(c)
      import
      type(c_ptr), value :: batch
    end function
  end interface

  ! The functions whose texts and communicators are those of Fortran, in mpisync.f90. Those of new
  ! objects are in mpisync_fortran.c, which converts the communicator.
  interface
    function c_last_error_message() bind(c, name="mpisync_last_error_message") result(text)
      import
      type(c_ptr) :: text
    end function
    function c_status_name(status) bind(c, name="mpisync_status_name") result(text)
      import
      integer(c_int), value :: status
      type(c_ptr) :: text
    end function
    function c_version() bind(c, name="mpisync_version") result(text)
      import
      type(c_ptr) :: text
    end function
    integer(c_int) function c_single_write_end(controller, failure, data, size) &
        bind(c, name="mpisync_single_write_end")
      import
      type(c_ptr), value :: controller, failure, data
      integer(c_size_t), value :: size
    end function
    integer(c_int) function c_task_failed(batch, reason) bind(c, name="mpisync_batch_task_failed")
      import
      type(c_ptr), value :: batch
      character(kind=c_char), intent(in) :: reason(*)
    end function
    integer(c_int) function c_controller_new(comm, name, master, controller) &
        bind(c, name="mpisync_fortran_controller_new")
      import
      integer(c_int), value :: comm
      type(c_ptr), value :: name
      integer(c_int), value :: master
      type(c_ptr), intent(out) :: controller
    end function
    integer(c_int) function c_mutex_new(comm, name, root, mutex) bind(c, name="mpisync_fortran_mutex_new")
      import
      integer(c_int), value :: comm
      type(c_ptr), value :: name
      integer(c_int), value :: root
      type(c_ptr), intent(out) :: mutex
    end function
    integer(c_int) function c_semaphore_new(comm, name, root, permits, semaphore) &
        bind(c, name="mpisync_fortran_semaphore_new")
      import
      integer(c_int), value :: comm
      type(c_ptr), value :: name
      integer(c_int), value :: root, permits
      type(c_ptr), intent(out) :: semaphore
    end function
    integer(c_int) function c_counter_new(comm, name, root, start, counter) &
        bind(c, name="mpisync_fortran_counter_new")
      import
      integer(c_int), value :: comm
      type(c_ptr), value :: name
      integer(c_int), value :: root
      integer(c_int64_t), value :: start
      type(c_ptr), intent(out) :: counter
    end function
    integer(c_int) function c_barrier_new(comm, name, barrier) bind(c, name="mpisync_fortran_barrier_new")
      import
      integer(c_int), value :: comm
      type(c_ptr), value :: name
      type(c_ptr), intent(out) :: barrier
    end function
    integer(c_int) function c_region_new(comm, name, items, item_size, region) &
        bind(c, name="mpisync_fortran_region_new")
      import
      integer(c_int), value :: comm
      type(c_ptr), value :: name
      integer(c_size_t), value :: items, item_size
      type(c_ptr), intent(out) :: region
    end function
    integer(c_int) function c_channel_new(comm, name, root, capacity, message_size, channel) &
        bind(c, name="mpisync_fortran_channel_new")
      import
      integer(c_int), value :: comm
      type(c_ptr), value :: name
      integer(c_int), value :: root
      integer(c_size_t), value :: capacity, message_size
      type(c_ptr), intent(out) :: channel
    end function
    integer(c_int) function c_batch_new(comm, name, root, tasks, worker_size, state_dir, batch) &
        bind(c, name="mpisync_fortran_batch_new")
      import
      integer(c_int), value :: comm
      type(c_ptr), value :: name, state_dir
      integer(c_int), value :: root, worker_size
      integer(c_int64_t), value :: tasks
      type(c_ptr), intent(out) :: batch
    end function
    function c_strlen(text) bind(c, name="strlen") result(length)
      import
      type(c_ptr), value :: text
      integer(c_size_t) :: length
    end function
  end interface

end module
