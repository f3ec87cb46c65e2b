"""Many modelled peers over UDP, a window of requests outstanding at a time."""

import select
import socket
import time

import wire

HOME = "127.0.0.1"
RESEND_SECONDS = 2.0
ENROLLED = 10_000


class Peers:
    """Peers 0 to `count`, peer i speaking from socket i modulo `window`, each socket with one
    request outstanding. The sockets share `sources` addresses of four networks: of one, no more
    than 65,535 new peers come in a day."""

    def __init__(self, port, count, window, sources=60):
        self.count, self.window = count, window
        self.sockets = [self.open(port, slot % sources) for slot in range(window)]
        self.by_fd = {s.fileno(): slot for slot, s in enumerate(self.sockets)}
        self.epoll = select.epoll()
        for fd in self.by_fd:
            self.epoll.register(fd, select.EPOLLIN)

    @staticmethod
    def open(port, source):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((f"127.1.{source % 4}.{source // 4 + 1}", 0))
        opened.connect((HOME, port))
        opened.setblocking(False)
        return opened

    def close(self):
        self.epoll.close()
        for opened in self.sockets:
            opened.close()

    def ask_all(self, request, expected, first=0):
        """Sends `request(i)` for every peer from `first`; seconds each answer took, and how many
        requests had to be sent again. Who is asked for a registration, as it was not heard from for
        30 s, registers and goes on; a server that was started anew asks for some, too."""
        latencies, again = [], 0
        # Per socket: the peer it asks for, and when it asked.
        asking = [(first + slot, self.ask(slot, request, first + slot))
                  for slot in range(min(self.window, self.count - first))]
        left = self.count - first
        while left:
            ready = self.epoll.poll(RESEND_SECONDS)
            now = time.perf_counter()
            for fd, _ in ready:
                slot = self.by_fd[fd]
                answer = self.sockets[slot].recv(2048)
                peer, asked = asking[slot]
                if expected == wire.PRESENT and answer in (wire.ASKED_BACK, wire.REGISTERED):
                    again += answer == wire.ASKED_BACK
                    back = wire.register_pk if answer == wire.ASKED_BACK else request
                    self.sockets[slot].send(back(peer))
                    continue
                if answer == wire.ASKED_BACK != expected:
                    continue
                if answer != expected:
                    raise SystemExit(f"unexpected answer {answer.hex()}")
                latencies.append(now - asked)
                left -= 1
                peer += self.window
                asking[slot] = (peer, None)
                if peer < self.count:
                    asking[slot] = (peer, self.ask(slot, request, peer))
            if not ready:
                for slot, (peer, asked) in enumerate(asking):
                    if asked is not None:
                        again += 1
                        self.sockets[slot].send(request(peer))
        return sorted(latencies), again

    def ask(self, slot, request, peer):
        self.sockets[slot].send(request(peer))
        return time.perf_counter()

    def prove(self, port, first=0):
        """NAT tests, as clients make one at their start, each of which lets four new peers of its
        address in: without them the server takes a sender for a forger. Some more than that, as
        the sockets are not spread quite evenly over the addresses."""
        sources = sorted({opened.getsockname()[0] for opened in self.sockets})
        for number in range(-(-(self.count - first) // 3) + len(sources)):
            nat_test(port, sources[number % len(sources)])

    def register(self, first=0):
        return self.ask_all(wire.register_pk, wire.REGISTERED, first)

    def settle(self):
        """Known peers register where they speak from now, which writes nothing. An id may do so
        three times in six seconds."""
        time.sleep(6)
        self.register()

    def keep_alive(self):
        return self.ask_all(wire.register_peer, wire.PRESENT)

    def keep_alive_paced(self, pause):
        """As on a real network: a keep-alive now and then, the server asleep in between."""
        for peer in range(self.count):
            found = self.socket_of(peer)
            found.send(wire.register_peer(peer))
            if found.recv(64) != wire.PRESENT:
                raise SystemExit("a registered peer is not known")
            time.sleep(pause)

    def socket_of(self, peer):
        """The socket of one peer, blocking."""
        found = self.sockets[peer % self.window]
        found.settimeout(5)
        return found


def nat_test(port, source):
    with socket.create_connection((HOME, port), 20, (source, 0)) as stream:
        stream.sendall(wire.frame(wire.NAT_TEST))
        wire.read_frame(stream)


def enrol(port, first, count):
    """Some thousand at a time: a connection proves its address for a minute."""
    for first in range(first, count, ENROLLED):
        many = Peers(port, min(count, first + ENROLLED), 256)
        many.prove(port, first)
        many.register(first)
        many.close()


def percentile(ordered, percent):
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
