"""A client that was not written here: the key exchange and sealed channel of PyNaCl, against the
real server. Called as client.py HOST PORT KEY CHECK; prints what went wrong and exits 1."""

import base64
import os
import socket
import sys
import time

from nacl.bindings import crypto_box, crypto_secretbox, crypto_secretbox_open
from nacl.public import PrivateKey
from nacl.signing import VerifyKey

DEVICE_KEY = bytes(range(32))


def field(number, data):
    """One length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def fields(data):
    """The fields of a message by number; of those that repeat, the last."""
    found = {}
    while data:
        tag, data = first_varint(data)
        value, data = first_varint(data)
        if tag & 7 == 2:
            value, data = data[:value], data[value:]
        found[tag >> 3] = value
    return found


def first_varint(data):
    """The number that data begins with, and the rest."""
    size = next(at for at, byte in enumerate(data) if byte < 0x80) + 1
    return sum((byte & 0x7F) << 7 * at for at, byte in enumerate(data[:size])), data[size:]


def register_pk(name):
    return field(15, field(1, name) + field(2, b"python") + field(3, DEVICE_KEY))


B1 = b"123456789"
REGISTER_PK = register_pk(B1)
TEST_NAT = field(20, b"")


class Connection:
    """Frames over TCP, sealed once `exchange` was called."""

    def __init__(self, host, port, source=""):
        self.socket = socket.create_connection((host, port), 10, (source, 0))
        self.key = None
        self.sent = self.received = 0

    def write(self, payload, and_more=b""):
        if self.key and len(payload) > 1:
            self.sent += 1
            payload = crypto_secretbox(payload, nonce(self.sent), self.key)
        self.socket.sendall(frame(payload) + and_more)

    def read(self):
        """The next payload that is not a heartbeat."""
        payload = self.read_any()
        return payload if payload else self.read()

    def read_any(self):
        header = self.exactly(1)
        header += self.exactly(header[0] & 3)
        payload = self.exactly(int.from_bytes(header, "little") >> 2)
        if self.key and len(payload) > 1:
            self.received += 1
            payload = crypto_secretbox_open(payload, nonce(self.received), self.key)
        return payload

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError("the server closed the connection")
            data += more
        return data

    def exchange(self, server_key, and_more=None):
        """Verifies the offer and answers it; `and_more` goes out in the same segment, sealed."""
        offer = self.read()
        assert offer[:5] == bytes.fromhex("ca01620a60"), offer.hex()
        ephemeral = VerifyKey(server_key).verify(offer[5:])
        assert len(ephemeral) == 32
        secret = PrivateKey.generate()
        symmetric = os.urandom(32)
        boxed = crypto_box(symmetric, bytes(24), ephemeral, bytes(secret))
        answer = field(25, field(1, bytes(secret.public_key)) + field(1, boxed))
        if and_more:
            self.sent = 1
            sealed = crypto_secretbox(and_more, nonce(1), symmetric)
            self.socket.sendall(frame(answer) + frame(sealed))
        else:
            self.socket.sendall(frame(answer))
        self.key = symmetric

    def closed(self):
        """Whether the server ends it without another payload."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True


def nonce(count):
    return count.to_bytes(24, "little")


def frame(payload):
    size = len(payload)
    extra = 0 if size < 0x40 else 1 if size < 0x4000 else 2
    return (size << 2 | extra).to_bytes(extra + 1, "little") + payload


def c026(host, port, key):
    """Silence is answered with exactly one signed offer."""
    connection = Connection(host, port)
    offer = connection.read()
    VerifyKey(key).verify(offer[5:])
    connection.socket.settimeout(2)
    try:
        more = connection.socket.recv(1)
    except TimeoutError:
        return
    raise AssertionError(f"more than one offer: {more!r}")


def c027(host, port, key):
    """A sealed registration is answered sealed and keeps the connection."""
    connection = Connection(host, port)
    connection.exchange(key)
    connection.write(REGISTER_PK)
    answer = connection.read()
    assert answer[:3] == bytes.fromhex("820102") and answer[4] > 0, answer.hex()


def c028(host, port, key):
    """Heartbeats come, count for nothing, and answering them keeps the peer."""
    connection = Connection(host, port)
    connection.exchange(key)
    connection.write(REGISTER_PK)
    connection.read()
    connection.socket.settimeout(30)
    start = time.monotonic()
    assert connection.read_any() == b""
    assert time.monotonic() - start < 25
    connection.write(b"")
    connection.write(TEST_NAT)
    assert connection.read()[:2] == bytes.fromhex("aa01")


def c028_unanswered(host, port, key):
    """Who answers no heartbeat is offline after two and a half of them; who does stays."""
    names = [B1, b"987654321"]
    silent, kept = registered = [Connection(host, port) for _ in names]
    for name, connection in zip(names, registered):
        connection.exchange(key)
        connection.write(register_pk(name))
        connection.read()
        connection.socket.settimeout(30)
    start = time.monotonic()

    def online():
        query = Connection(host, port - 1)
        query.write(field(23, b"".join(field(2, name) for name in names)))
        return fields(fields(query.read())[24])[1]

    for _ in range(2):
        assert kept.read_any() == b"" == silent.read_any()
        kept.write(b"")
    assert online() == b"\xc0", "offline too early"
    assert silent.closed()
    assert 48 < time.monotonic() - start < 53, time.monotonic() - start
    assert online() == b"\x40", "who answers is gone, or who does not is not"


def sealed(host, port, key):
    connection = Connection(host, port)
    connection.exchange(key)
    return connection


def sealed_target(host, port, key):
    """B1, registered on a sealed connection."""
    target = sealed(host, port, key)
    target.write(REGISTER_PK)
    target.read()
    return target


def dial(connection, key, target):
    """Asks for B1 on this connection; what the target is told."""
    connection.write(field(8, field(1, B1) + field(3, base64.b64encode(key)) + field(6, b"1.4.9")))
    return fields(fields(target.read())[9])


def c030(host, port, key):
    """A target on a sealed connection is told there, sealed, and not where it was before."""
    before = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    before.settimeout(10)
    before.connect((host, port))
    before.send(REGISTER_PK)
    assert before.recv(2000) == bytes.fromhex("820100")
    target = sealed_target(host, port, key)
    assert len(dial(Connection(host, port, "127.0.1.2"), key, target)[1]) > 5
    before.send(TEST_NAT)
    assert before.recv(2000)[:2] == bytes.fromhex("aa01"), "told over UDP"


def c064(host, port, key):
    """Whatever the answer came in, it reaches the initiator under the initiator's own key."""
    target = sealed_target(host, port, key)
    for sealed_wish, sealed_answer in ((True, True), (True, False), (False, True)):
        # Those in clear speak at once, before they are offered a key.
        answer = sealed(host, port, key) if sealed_answer else None
        initiator = Connection(host, port, "127.0.1.2")
        if sealed_wish:
            initiator.exchange(key)
        told = dial(initiator, key, target)
        answer = answer or Connection(host, port)
        answer.write(field(10, field(1, told[1]) + field(2, B1) + field(5, b"1.4.9")))
        assert answer.closed()
        VerifyKey(key).verify(fields(fields(initiator.read())[11])[2])


def c061(host, port, _key):
    """Who speaks in clear is answered in clear, before and after the offer."""
    for pause in (0, 0.6):
        connection = Connection(host, port)
        time.sleep(pause)
        connection.write(TEST_NAT)
        answer = connection.read()
        if pause:
            assert answer[:2] == bytes.fromhex("ca01"), answer.hex()
            answer = connection.read()
        assert answer[:2] == bytes.fromhex("aa01"), answer.hex()


def c062(host, port, key):
    """The answer and the first sealed frame may come in one segment."""
    connection = Connection(host, port)
    connection.exchange(key, TEST_NAT)
    assert connection.read()[:2] == bytes.fromhex("aa01")
    connection.write(TEST_NAT)
    assert connection.read()[:2] == bytes.fromhex("aa01")


def c063(host, port, key):
    """Wrong sizes, an unopenable box and a changed frame end the connection."""
    for answer in (
        field(25, field(1, bytes(32))),
        field(25, field(1, bytes(32)) + field(1, bytes(48)) + field(1, b"x")),
        field(25, field(1, bytes(31)) + field(1, bytes(48))),
        field(25, field(1, bytes(range(32))) + field(1, bytes(48))),
        field(25, field(1, bytes(32)) + field(1, bytes(48))),
    ):
        connection = Connection(host, port)
        connection.read()
        connection.write(answer)
        assert connection.closed(), answer.hex()
    connection = Connection(host, port)
    connection.exchange(key)
    connection.key = bytes(32)
    connection.write(TEST_NAT)
    assert connection.closed()


def c089(host, port, key):
    """Bytes of a client said again, in the minute its offer is good, open nothing."""
    target = Connection(host, port)
    said = []
    target.socket = Recorder(target.socket, said)
    target.exchange(key)
    target.write(REGISTER_PK)
    target.read()
    bare = b"".join(said)
    # The highest bit of a public key counts for nothing.
    key_at = bare.index(field(1, bytes(32))[:2]) + 2
    other = bytearray(bare)
    other[key_at + 31] ^= 0x80
    for again in (bare, bytes(other)):
        stranger = Connection(host, port, "127.0.1.2")
        stranger.read()
        stranger.socket.sendall(again)
        assert stranger.closed(), "a replay opened a channel"
    assert len(dial(Connection(host, port, "127.0.1.2"), key, target)[1]) > 5
    assert sealed_answer(sealed(host, port, key))


class Recorder:
    """A socket that notes what is sent."""

    def __init__(self, inner, said):
        self.inner, self.said = inner, said

    def sendall(self, data):
        self.said.append(bytes(data))
        self.inner.sendall(data)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def sealed_answer(connection):
    """Whether the channel is open."""
    try:
        connection.write(TEST_NAT)
        return connection.read()[:2] == bytes.fromhex("aa01")
    except (EOFError, ConnectionError):
        return False


def c090(host, port, key):
    """One address has ten exchanges in a second, further ones wait for the next; another has its
    own at the same time."""
    start = time.monotonic()
    greedy = [Connection(host, port) for _ in range(24)]
    other = Connection(host, port, "127.0.1.2")
    for connection in greedy:
        connection.exchange(key)
    other.exchange(key)
    assert sealed_answer(other)
    assert time.monotonic() - start < 2.0
    assert all(map(sealed_answer, greedy))
    assert 2.0 <= time.monotonic() - start < 5.0
    assert sealed_answer(sealed(host, port, key))


def main():
    host, port, key, check = sys.argv[1:]
    globals()[check](host, int(port), base64.b64decode(key))


if __name__ == "__main__":
    main()
