"""Waits end at Ctrl-C, run the handlers of other signals, and let other threads run."""

import os
import signal
import threading
import time

import mpisync
from harness import case, raises

#: How soon a wait ends, in seconds; later where other programs have the cores.
SOON = 0.1 if os.getloadavg()[0] <= (os.cpu_count() or 1) else 2.0


def interrupted(wait, delay=0.2):
    """How long `wait` goes on after Ctrl-C."""
    sent = []

    def send():
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(delay, send)
    timer.start()
    try:
        with raises(KeyboardInterrupt):
            wait()
        return time.monotonic() - sent[0]
    finally:
        timer.join()
        signal.signal(signal.SIGINT, previous)


@case(2)
def ctrl_c_ends_waits(comm):
    ctrl, mutex = mpisync.sync(comm), mpisync.Mutex(comm)
    holder = comm.rank == 0
    if holder:
        mutex.acquire()
    comm.Barrier()
    if not holder:
        assert interrupted(mutex.acquire) < SOON
        assert not mutex.held
        assert interrupted(lambda: mutex.acquire(timeout=30)) < SOON
    comm.Barrier()
    if holder:
        mutex.release()
    comm.Barrier()
    with mutex:
        pass
    comm.Barrier()
    if holder:
        with ctrl.write():
            comm.Barrier()
            comm.Barrier()
    else:
        comm.Barrier()
        assert interrupted(ctrl.read().__enter__) < SOON
        assert interrupted(ctrl.write().__enter__) < SOON
        comm.Barrier()
    comm.Barrier()
    with ctrl.write():
        pass


@case(2)
def ctrl_c_ends_collective_waits(comm):
    ctrl = mpisync.sync(comm)
    if comm.rank == 1:
        with ctrl.single_write(name="first") as call:
            assert interrupted(call.collect) < SOON
            comm.Barrier()
    else:
        comm.Barrier()
        with ctrl.single_write(name="first"):
            pass
    comm.Barrier()
    if comm.rank == 1:
        assert interrupted(ctrl.collective("step").__enter__) < SOON
        comm.Barrier()
        with raises(mpisync.Mismatch):
            ctrl.close()
    else:
        comm.Barrier()
        # The other rank has come, and is not there when the ranks agree on the outcome.
        with raises(mpisync.Mismatch):
            with ctrl.collective("step"):
                pass
    comm.Barrier()


@case(2, alone=True)
def ctrl_c_ends_a_creation(comm):
    if comm.rank == 1:
        comm.Barrier()
        assert interrupted(lambda: mpisync.sync(comm)) < SOON
        # The other rank may still be in the first try.
        with raises(mpisync.CreationError):
            mpisync.sync(comm)
        comm.Barrier()
    else:
        comm.Barrier()
        comm.Barrier()


@case(2)
def other_signals_run_their_handlers(comm):
    mutex = mpisync.Mutex(comm)
    got = []

    def handle(number, frame):
        got.append(time.monotonic())
        # The thread waits in a call.
        try:
            mutex.acquire()
        except mpisync.Misuse as error:
            got.append(error)

    if comm.rank == 0:
        mutex.acquire()
    comm.Barrier()
    if comm.rank == 1:
        previous = signal.signal(signal.SIGUSR1, handle)
        sent = []
        timer = threading.Timer(0.1, lambda: (sent.append(time.monotonic()), os.kill(os.getpid(), signal.SIGUSR1)))
        timer.start()
        with raises(mpisync.TimedOut):
            mutex.acquire(timeout=0.6)
        timer.join()
        signal.signal(signal.SIGUSR1, previous)
        assert got[0] - sent[0] < SOON and isinstance(got[1], mpisync.Misuse), got
    comm.Barrier()
    if comm.rank == 0:
        mutex.release()


@case(2)
def other_threads_run_while_one_waits(comm):
    mutex = mpisync.Mutex(comm)
    if comm.rank == 0:
        mutex.acquire()
    comm.Barrier()
    if comm.rank == 1:
        ticks = []
        running = threading.Event()
        running.set()

        def tick():
            while running.is_set():
                ticks.append(time.monotonic())
                time.sleep(0.01)

        thread = threading.Thread(target=tick)
        thread.start()
        with raises(mpisync.TimedOut):
            mutex.acquire(timeout=0.5)
        running.clear()
        thread.join()
        assert len(ticks) > 10, len(ticks)
    comm.Barrier()
    if comm.rank == 0:
        mutex.release()
