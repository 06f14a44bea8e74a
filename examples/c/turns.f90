! The same as turns.c, in Fortran.
program turns
  use mpi_f08
  use mpisync
  implicit none

  type, bind(c) :: file_header
    integer(c_int64_t) :: results
    real(c_double) :: step
  end type

  type(c_ptr) :: file_lock, work
  type(file_header), target :: header
  integer :: rank, unit, error
  integer(c_int) :: writes
  integer(c_int64_t) :: number
  real(c_double) :: x
  character(1000) :: path

  call check(mpisync_init())
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  path = "results.txt"
  if (command_argument_count() > 0) call get_command_argument(1, path)

  call check(mpisync_controller_new(MPI_COMM_WORLD%mpi_val, "results", 0, file_lock))
  call check(mpisync_counter_new(MPI_COMM_WORLD%mpi_val, "work", 0, 0_c_int64_t, work))

  header = file_header(0, 0)
  error = 0
  call check(mpisync_single_write_begin(file_lock, -1_c_int, writes))
  if (writes == 1) then
    header = file_header(100, 0.01_c_double)
    open (newunit=unit, file=path, status="replace", action="write", iostat=error)
    if (error == 0) write (unit, "(a, i0, a)", iostat=error) "# ", header%results, " results"
    if (error == 0) close (unit, iostat=error)
  end if
  if (error == 0) then
    call check(mpisync_single_write_end(file_lock, c_loc(header), c_sizeof(header)))
  else
    call check(mpisync_single_write_end(file_lock, c_loc(header), c_sizeof(header), &
                                        failure="the file cannot be created"))
  end if

  do
    call check(mpisync_counter_next(work, number))
    if (number >= header%results) exit
    x = real(number, c_double) * header%step

    call check(mpisync_controller_write_lock(file_lock))
    open (newunit=unit, file=path, status="old", position="append", action="write")
    write (unit, "(i0, f7.4)") number, x * x
    close (unit)
    call check(mpisync_controller_unlock(file_lock))
  end do

  call check(mpisync_counter_close(work))
  call check(mpisync_controller_close(file_lock)) ! all ranks have written
  if (rank == 0) print "(i0, 2a)", header%results, " results in ", trim(path)
  call check(mpisync_finalize())

contains

  ! Ends the job if a call has failed.
  subroutine check(status)
    integer(c_int), intent(in) :: status
    if (status == MPISYNC_OK) return
    print "(a)", mpisync_last_error_message()
    call MPI_Abort(MPI_COMM_WORLD, 1)
  end subroutine

end program
