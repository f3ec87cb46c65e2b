"""Two devices at one address, of which one dials the other: prints the relay that it is told. Called
as dialled.py ADDRESS RELAY: of the server and of both; what the target takes for the relay."""

import socket
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
import wire  # noqa: E402 (beside this folder)

# Of the protocol's messages: what the target is asked for, its answer, what the initiator is told.
ASKED, ANSWER, TOLD = 12, 13, 11


def connected(address):
    stream = socket.create_connection((address, 21116), timeout=10)
    stream.sendall(wire.frame(wire.NAT_TEST))
    assert 21 in wire.fields(wire.read_frame(stream))
    return stream


def main(address, relay):
    connected(address)
    target = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    target.settimeout(10)
    target.connect((address, 21116))
    for request in [wire.register_pk, wire.register_peer]:
        target.send(request(1))
        target.recv(2048)
    initiator = connected(address)
    initiator.sendall(wire.frame(wire.punch_request(1)))
    asked = wire.fields(wire.fields(target.recv(2048))[ASKED])
    relay = asked.get(2, b"") or relay
    answer = wire.field(1, asked[1]) + wire.field(2, asked[1]) + wire.field(3, relay)
    answer += wire.field(4, wire.peer_id(1)) + wire.field(5, "1.4.9")
    connected(address).sendall(wire.frame(wire.field(ANSWER, answer)))
    told = {}
    while TOLD not in told:
        told = wire.fields(wire.read_frame(initiator))
    print(wire.fields(told[TOLD])[4].decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
