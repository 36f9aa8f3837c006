"""A client of NATS in a few lines, of the protocol alone: what any program in a container can be. No podmesh in it."""

import base64
import hashlib
import json
import os
import re
import socket

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def _add(one, two):
    a, b = (one[1] - one[0]) * (two[1] - two[0]) % P, (one[1] + one[0]) * (two[1] + two[0]) % P
    c, d = 2 * one[3] * two[3] * D % P, 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(number, point):
    total = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = _add(total, point)
        point = _add(point, point)
        number >>= 1
    return total


def _packed(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def sign(seed, message):
    """Ed25519 (RFC 8032)."""
    hashed = hashlib.sha512(seed).digest()
    secret = int.from_bytes(hashed[:32], "little") & (1 << 254) - 8 | 1 << 254
    public = _packed(_times(secret, BASE))
    number = lambda *parts: int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L
    nonce = number(hashed[32:], message)
    point = _packed(_times(nonce, BASE))
    return point + ((nonce + number(point, public, message) * secret) % L).to_bytes(32, "little")


class Client:
    """One connection, one request at a time."""

    def __init__(self, url, credentials, inbox):
        token, seed = re.findall(r"-----BEGIN[^\n]*\n(\S+)\n", credentials)
        host, port = url.replace("nats://", "").rsplit(":", 1)
        self._stream = socket.create_connection((host, int(port))).makefile("rwb")
        nonce = json.loads(self._stream.readline().split(b" ", 1)[1])["nonce"]
        signed = sign(base64.b32decode(seed + "=" * (-len(seed) % 8))[2:34], nonce.encode())
        signature = base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
        hello = {"jwt": token, "sig": signature, "verbose": False, "headers": True, "no_responders": True}
        self._send("CONNECT " + json.dumps(hello))
        self._inbox, self._count = inbox, 0
        self._send(f"SUB {inbox}.* 1")

    def request(self, subject, body=b"", headers=""):
        """Status, headers and body of the answer."""
        self._count += 1
        reply, head = f"{self._inbox}.{self._count}", f"NATS/1.0\r\n{headers}\r\n\r\n".encode() if headers else b""
        sizes = f"{len(head)} {len(head) + len(body)}" if head else str(len(body))
        self._send(f"{'H' if head else ''}PUB {subject} {reply} {sizes}", head + body)
        while True:
            words = self._stream.readline().split()
            if words[:1] == [b"PING"]:
                self._send("PONG")
            elif words[:1] in ([b"-ERR"], []):
                raise ConnectionError(b" ".join(words).decode() or "the server is gone")
            elif words[0] == b"HMSG":
                head, size = int(words[-2]), int(words[-1])
                whole = self._stream.read(size + 2)[:size]
                return self._read(whole[:head].decode(), whole[head:])

    def _read(self, head, body):
        first, *lines = head.strip().split("\r\n")
        said = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        return int(said.get("podmesh-status") or first.split()[1]), said, body

    def _send(self, line, body=None):
        self._stream.write(line.encode() + b"\r\n" + (b"" if body is None else body + b"\r\n"))
        self._stream.flush()


def of_task():
    """That of the task in whose container this runs."""
    with open(os.environ["PODMESH_NATS_CREDS"]) as file:
        return Client(os.environ["PODMESH_NATS_URL"], file.read(), os.environ["PODMESH_NATS_INBOX"])
