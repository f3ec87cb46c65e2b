"""A router with a device in each of two zones: which of its ports each device reaches.

Run with the programs nft and ip in namespaces of its own, a firewall on stdin; prints a line
'ZONE HOST PROTOCOL PORT True-or-False' for each try.
"""

import contextlib
import socket
import subprocess
import sys

# The first addresses are the router's, the second the device's.
ZONES = {"wan": ("192.0.2.", "fd00:1::"), "guest": ("198.51.100.", "fd00:2::")}
SERVED = [("tcp", 21115), ("tcp", 21116), ("tcp", 21119), ("udp", 21116), ("tcp", 22),
          ("udp", 21117)]
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def run(*words, **more):
    subprocess.run(words, check=True, **more)


def connect(ip, zone, stack):
    """A device in a namespace of its own, linked to ours; gives the words that run things there."""
    holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 60"],
                              stdout=subprocess.PIPE)
    stack.callback(holder.wait)
    stack.callback(holder.kill)
    holder.stdout.readline()
    inside = ["nsenter", "-t", str(holder.pid), "-n"]
    run(ip, "link", "add", zone, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
    for words, name, host in [([], zone, "1"), (inside, "eth0", "2")]:
        run(*words, ip, "link", "set", "dev", name, "up")
        for net, more in zip(ZONES[zone], [["brd", "+"], ["nodad"]], strict=True):
            bits = "/64" if ":" in net else "/24"
            run(*words, ip, "addr", "add", f"{net}{host}{bits}", "dev", name, *more)
    return inside


def listen(name, port):
    one = socket.socket(socket.AF_INET6, KINDS[name])
    one.bind(("::", port))
    if name == "tcp":
        one.listen()
    return one


def reached(host, name, port):
    """UDP is answered by nobody, so what counts is that it is not refused."""
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, KINDS[name])
    one.settimeout(0.3)
    try:
        one.connect((host, port))
        if name == "udp":
            one.send(b"?")
            one.recv(1)
    except TimeoutError:
        return name == "udp"
    except OSError:
        return False
    return True


def device(zone):
    for net in ZONES[zone]:
        for name, port in SERVED:
            print(zone, f"{net}1", name, port, reached(f"{net}1", name, port), flush=True)


def router(nft, ip):
    with contextlib.ExitStack() as stack:
        run(ip, "link", "set", "lo", "up")
        inside = {zone: connect(ip, zone, stack) for zone in ZONES}
        run(nft, "-f", "-", stdin=sys.stdin)
        held = [listen(name, port) for name, port in SERVED]
        for zone, words in inside.items():
            run(*words, sys.executable, __file__, zone)
        del held


def main(arguments):
    if len(arguments) == 1:
        device(*arguments)
    else:
        router(*arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
