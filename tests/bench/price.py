"""The kernel's price: the same messages sent to the server and to the plainest program that answers
them (`load answer`), in turns."""

import socket
import statistics
import subprocess
import time

import versus
import wire
from peers import HOME, Peers
from server import Server, Spent, free_port

BEATS, TURNS, AT_ONCE = 4_000, 10, 64
ROUNDS = 5


def rows(binary, data_folder, punch):
    """What was done, microseconds of it in the plain program, in the server, and how many times
    that is; `punch(port, peers, which, over_udp)` plays punches of the server, all at once."""
    with data_folder() as data:
        load = versus.build(data)
        server, plain = Server(binary, data), Plain(load)
        try:
            peers = Peers(server.port, BEATS, 256, sources=1)
            peers.prove(server.port)
            peers.register()
            peers.close()
            for name, asked, plainly in kinds(server.port, plain.port, punch):
                spent = {server: [], plain: []}
                for _ in range(ROUNDS):
                    for who, what in (server, asked), (plain, plainly):
                        spent[who].append(what(who))
                ours, least = (statistics.median(spent[who]) / 1e3 for who in (server, plain))
                yield name, least, ours, ours / least
        finally:
            for process in server.process, plain.process:
                process.kill()
                process.wait()


class Plain(Server):
    def __init__(self, load):
        self.port = free_port()
        self.process = subprocess.Popen([load, "answer", str(self.port), wire.PRESENT.hex()])
        self.pid = self.process.pid
        while True:
            try:
                return socket.create_connection((HOME, self.port), 1).close()
            except OSError:
                time.sleep(0.01)


def kinds(port, plain, punch):
    for window in 1, 32, 256:
        beat = lambda who, window=window: beats(who, window)
        yield f"heartbeat, {window} outstanding", beat, beat
    yield "heartbeat, asleep in between", paced, paced
    for name, over_udp in ("UDP", True), ("TCP", False):
        yield (f"punch, target over {name}, {AT_ONCE} at a time",
               lambda who, over_udp=over_udp: punches(who, punch, over_udp),
               lambda who, over_udp=over_udp: exchanges(who, over_udp))


def beats(who, window):
    """Nanoseconds each. Of the server, devices that moved to another port have registered."""
    many = Peers(who.port, BEATS, window, sources=1)
    settle(who, many)
    with Spent(who) as spent:
        many.keep_alive()
    many.close()
    return spent.cpu / BEATS


def paced(who, count=500):
    few = Peers(who.port, count, 1, sources=1)
    settle(who, few)
    with Spent(who) as spent:
        few.keep_alive_paced(0.002)
    few.close()
    return spent.cpu / count


def settle(who, many):
    if not isinstance(who, Plain):
        many.settle()


def punches(who, punch, over_udp):
    many = Peers(who.port, AT_ONCE * TURNS, 250, sources=1)
    many.settle()
    with Spent(who) as spent:
        for turn in range(TURNS):
            punch(who.port, many, range(turn * AT_ONCE, (turn + 1) * AT_ONCE), over_udp)
    many.close()
    return spent.cpu / AT_ONCE / TURNS


def exchanges(who, over_udp):
    """What a punch is to the kernel: a connection that asks and is answered, and a datagram to and
    fro, or a further connection."""
    targets = Peers(who.port, AT_ONCE, AT_ONCE, sources=1)
    with Spent(who) as spent:
        for _ in range(TURNS):
            asking = [ask(who.port, 2) for _ in range(AT_ONCE)]
            if over_udp:
                for peer in range(AT_ONCE):
                    targets.socket_of(peer).send(wire.register_peer(peer))
                    targets.socket_of(peer).recv(64)
            else:
                asking += [ask(who.port, 3) for _ in range(AT_ONCE)]
            for stream in asking:
                stream.recv(64)
                stream.close()
    targets.close()
    return spent.cpu / AT_ONCE / TURNS


def ask(port, network):
    stream = socket.create_connection((HOME, port), 5, (f"127.{network}.0.1", 0))
    stream.sendall(wire.frame(wire.NAT_TEST))
    return stream
