"""How the Python programs run a round, and the checks in it."""

import os

from mpi4py import MPI
from team import HOST, HOSTS, LONE_RANK, RANK, ROUND, SIZE, WORLD, now, paced, sleep_until, start

# In nanoseconds: a shorter batch is doubled, a longer one is halved. The clock is read once per batch.
SHORT, LONG = 5_000, 40_000

CHECKED = 10  # sections of each rank that are checked after a round
LENGTH = 20_000  # nanoseconds that each of them takes, longer than a message to another host


def repeat_until(deadline, operation):
    """Repeats `operation` until the deadline. Returns the number of operations, and when the last one ended."""
    operations, batch, before = 0, 1, now()
    while True:
        for _ in range(batch):
            operation()
        operations += batch
        end = now()
        if end >= deadline:
            return operations, end
        if end - before < SHORT:
            batch *= 2
        elif end - before > LONG:
            batch = max(1, batch // 2)
        before = end


def sit_out(deadline):
    """Is idle until the deadline; inside MPI if its windows need that: over hosts, and with MPICH."""
    while (HOSTS > 1 or MPI.get_vendor()[0] != "Open MPI") and now() < deadline:
        WORLD.Iprobe()
        os.sched_yield()
    sleep_until(deadline)


def tally(begin, operations, end):
    """The operations of all ranks, and the elapsed nanoseconds divided by them. Collective."""
    operations = WORLD.allreduce(operations)
    return operations, (WORLD.allreduce(end, MPI.MAX) - begin) / operations


class Shared:
    """A number in the shared memory of a host, read and written without synchronization. Made by all its ranks together."""

    def __init__(self):
        size = MPI.INT64_T.Get_size() if HOST.Get_rank() == 0 else 0
        self.window = MPI.Win.Allocate_shared(size, 1, comm=HOST)
        memory, _ = self.window.Shared_query(0)
        self.number = memoryview(memory).cast("q")

    def close(self):
        self.number.release()
        self.window.Free()


def excluding(acquire, release, alone, rounds):
    """Rounds in which one rank or all acquire and release a lock. Collective."""

    def operation_on(number):
        def operation():
            acquire()
            number[0] += 1
            release()

        return operation

    def hold(section):
        acquire()
        section()
        release()

    return exclusive(operation_on, hold, alone, rounds)


def excluding_in_blocks(lock, alone, rounds):
    """The same for a lock that is held in a `with` block of what `lock` returns. Collective."""

    def operation_on(number):
        def operation():
            with lock():
                number[0] += 1

        return operation

    def hold(section):
        with lock():
            section()

    return exclusive(operation_on, hold, alone, rounds)


def exclusive(operation_on, hold, alone, rounds):
    """Rounds of an operation that increments a shared number under a lock. Collective.

    `operation_on` makes it for a number, and `hold` calls a function under the lock.
    """
    shared = Shared()
    number = shared.number
    operation = operation_on(number)

    def one_round():
        number[0] = 0
        operations, figure = lone_or_all(operation, alone)
        counted = WORLD.allreduce(number[0] if HOST.Get_rank() == 0 else 0)
        assert counted == operations, "ranks were not excluded"
        if not alone:
            check_exclusion(hold)
        return figure

    # The first round is not counted.
    figures = [one_round() for _ in range(1 + rounds)][1:]
    shared.close()
    return figures


def lone_or_all(operation, alone):
    """A round in which one rank or all repeat an operation. Their operations and the figure. Collective."""
    begin = start()
    if alone and RANK != LONE_RANK:
        sit_out(begin + ROUND)
        laps = 0, begin
    else:
        laps = repeat_until(begin + ROUND, operation)
    return tally(begin, *laps)


def counting(take, rounds):
    """Rounds in which all ranks take the next number. Collective."""

    def one_round():
        begins = WORLD.bcast(take() + 1 if RANK == 0 else None)
        begin = start()
        last = 0

        def operation():
            nonlocal last
            number = take()
            assert number > last, "a counter goes on"
            last = number

        operations, figure = tally(begin, *repeat_until(begin + ROUND, operation))
        # Each number has been given out once; otherwise their count would differ.
        assert WORLD.allreduce(last, MPI.MAX) + 1 - begins == operations, "numbers were lost"
        return figure

    # The first round is not counted.
    return [one_round() for _ in range(1 + rounds)][1:]


def taking_turns(turn, rounds):
    """Rounds in which each rank in order has its turn, in which it calls the argument of `turn`. Collective."""

    def nothing():
        pass

    def turns(count):
        begin = start()
        for _ in range(count):
            turn(nothing)
        end = WORLD.allreduce(now(), MPI.MAX)
        check_turns(turn)
        return (end - begin) / count

    return [figure / SIZE for figure in paced(turns, ROUND, rounds)]


def stay():
    """A section that is checked. Returns when the rank arrived and when it left."""
    came = now()
    while now() < came + LENGTH:
        pass
    return came, now()


def check_exclusion(hold):
    """Checks that no rank enters its section before another one has left, also over several hosts. Collective."""
    stays = []
    for _ in range(CHECKED):
        hold(lambda: stays.append(stay()))
    stays = sorted(each for rank in WORLD.allgather(stays) for each in rank)
    moments = [moment for each in stays for moment in each]
    assert moments == sorted(moments), "ranks were not excluded"


def check_turns(turn):
    """Checks that turns come in the order of the ranks, each after the end of the previous one. Collective."""
    stays = []
    for _ in range(CHECKED):
        turn(lambda: stays.append(stay()))
    of_all = WORLD.allgather(stays)
    in_turn = [moment for step in zip(*of_all) for each in step for moment in each]
    assert in_turn == sorted(in_turn), "turns were not in the order of ranks"
