"""Whether a heartbeat costs the same whoever else is there, and a punch whoever else waits for one:
counted in lock-step."""

import resource
import socket
import time

import lockstep
import wire
from lockstep import TIMES, Units, counted
from peers import HOME, Peers, enrol
from server import Server

DEVICES = 1_000, 10_000, 100_000
WAITING = 10, 1_000, 10_000
# Who waits is here for 30 s. They come from so many networks, each of which has a share of the
# places, and each address of one asks once.
CALLERS = 250
PLACES = "--max-connections", "16384"


def tables(binary, data_folder, machine="x86_64"):
    """A title and rows: how many there are, calls, instructions."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))
    yield "A heartbeat, of devices present", heartbeats(binary, data_folder, machine)
    yield "A punch by UDP, of others that wait", punches(binary, data_folder, machine)


def heartbeats(binary, data_folder, machine):
    for many in DEVICES:
        with data_folder() as data:
            native = Server(binary, data)
            enrol(native.port, 0, many)
            native.stop()
            with counted(binary, machine, data) as server:
                # First the server forgets who was here before. Then each registers where
                # it speaks from now; of many the first are gone again, after 30 s.
                time.sleep(40)
                peers = Peers(server.port, many, 256)
                peers.register()
                calls, instructions = server.each(
                    lambda turn: beat(peers, many - 1 - turn), 4 * TIMES)
                peers.close()
            yield many, sum(calls.values()), instructions


def beat(peers, turn):
    found = peers.socket_of(turn)
    found.send(wire.register_peer(turn))
    if found.recv(64) != wire.PRESENT:
        raise SystemExit("a registered peer is not known")


def punches(binary, data_folder, machine):
    for many in WAITING:
        with data_folder() as data, counted(binary, machine, data, PLACES) as server:
            units = Units(server)
            for turn in range(lockstep.DEVICES):
                units.nat_test(turn)
                units.register(turn)
                units.punch_by_udp(turn)
            for turn in range(lockstep.DEVICES):
                units.heartbeat(turn)
            waiting = [stream for first in range(0, many, lockstep.DEVICES)
                       for stream in wait(units, range(first, min(many, first + lockstep.DEVICES)))]
            # Within 250 ms an offer of a sealed channel would have been due to each: that timer
            # runs out once in the life of a connection, and is no part of a punch.
            time.sleep(1)
            calls, instructions = server.each(units.punch_by_udp)
            for stream in waiting:
                stream.close()
            yield many, sum(calls.values()), instructions


def wait(units, numbers):
    """Some who ask for a device each, and are not answered."""
    streams = []
    for number in numbers:
        stream = socket.socket()
        stream.bind((f"127.4.{number % CALLERS + 1}.{number // CALLERS + 1}", 0))
        stream.connect((HOME, units.port))
        stream.sendall(wire.frame(wire.punch_request(number % lockstep.DEVICES, 4_000)))
        streams.append(stream)
    for number in numbers:
        units.devices[number % lockstep.DEVICES].recv(2048)
    return streams
