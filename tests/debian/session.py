"""What clients do: devices register over UDP, two legs meet on the relay, over TCP and WebSocket,
and bytes pass. Called as session.py PORT DEVICES; exits 1 with what went wrong."""

import socket
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
import legs  # noqa: E402 (beside this folder)
import wire  # noqa: E402

TOTAL = 4 << 20


def register(port, number):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.settimeout(10)
        device.bind((f"127.1.0.{number + 1}", 0))
        device.connect(("127.0.0.1", port))
        for request, expected in [(wire.register_pk, wire.REGISTERED),
                                  (wire.register_peer, wire.PRESENT)]:
            device.send(request(number))
            answer = device.recv(2048)
            assert answer == expected, f"device {number} was told {answer.hex()}"


def main(port, devices):
    for number in range(devices):
        register(port, number)
    chunk = bytes(range(256)) * 256
    legs.pump(legs.pair(port, 1), chunk, len(chunk), TOTAL)
    sent = legs.masked(chunk)
    # A server's frames have no mask: four bytes less.
    legs.pump(legs.web_pair(port, 2), sent, len(sent) - 4, TOTAL)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
