"""The few messages the bench speaks, as bytes, and the length header of TCP frames."""


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """A varint field for an int, a length-delimited one for text or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Field number to value, the last one winning."""
    at, found = 0, {}
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at : at + value], at + value
        found[tag >> 3] = value
    return found


def peer_id(number):
    return f"{100_000_000 + number}"


def register_peer(number):
    return field(6, field(1, peer_id(number)) + field(2, 3))


def register_pk(number):
    device = f"{number:08x}-7b1c-4f6e-9d52-3a1b5c7d9e0f"
    key = number.to_bytes(4, "big") * 8
    return field(15, field(1, peer_id(number)) + field(2, device) + field(3, key))


def punch_request(number, udp_port=None):
    """Only who names a UDP port is answered over UDP."""
    port = field(7, udp_port) if udp_port else b""
    return field(8, field(1, peer_id(number)) + field(2, 1) + field(6, "1.4.2") + port)


def punch_sent(number, echo):
    return field(10, field(1, echo) + field(2, peer_id(number)) + field(4, 1) + field(5, "1.4.2"))


def request_relay(token):
    return field(18, field(1, "123456789") + field(2, token))


NAT_TEST = field(20, field(1, 3))
REGISTERED = field(16, b"")
PRESENT = field(7, b"")
# What a server that was started anew sends to where devices were.
ASKED_BACK = field(7, field(2, 1))


def frame(payload):
    header = len(payload) << 2
    if len(payload) < 64:
        return bytes([header]) + payload
    return (header | 1).to_bytes(2, "little") + payload


def read_frame(stream):
    """One frame of less than 16 KiB from a blocking socket."""
    size = exactly(stream, 1)
    if size[0] & 3:
        size += exactly(stream, 1)
    return exactly(stream, int.from_bytes(size, "little") >> 2)


def exactly(stream, length):
    data = b""
    while len(data) < length:
        more = stream.recv(length - len(data))
        if not more:
            raise EOFError("the server closed the connection")
        data += more
    return data
