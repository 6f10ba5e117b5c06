"""takeover.py DOOR DEED: asks a howdah at DOOR to hand over, as -R does, and misbehaves.

Prints what it has got, one word a record, before it ends.  DEEDs:

  version    speaks a version that does not exist
  garbage    bytes of no meaning
  long       a record that is longer than any
  flood      forty descriptors that nobody asked for
  leave      goes once it has been lent all
  die N      takes N clients, and goes without a word when it has got one more
  wrong      takes a client that it has not got
  silent     says nothing until the other side closes
"""

import os
import socket
import struct
import sys

HEADER = struct.Struct(">cBI")


def record(kind, payload=b"", fd=False):
    return HEADER.pack(kind, fd, len(payload)) + payload


def hello(version=1):
    return record(b"H", b"howdah takeover\0" + struct.pack(">II", version, os.getpid()))


class Channel:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.input = b""
        self.fds = []

    def fill(self, wanted):
        while len(self.input) < wanted:
            data, fds, _, _ = socket.recv_fds(self.socket, 65536, 8)
            self.fds += fds
            if not data:
                return False
            self.input += data
        return True

    def next(self):
        if not self.fill(HEADER.size):
            return None, b""
        kind, _, length = HEADER.unpack_from(self.input)
        if not self.fill(HEADER.size + length):
            return None, b""
        payload = self.input[HEADER.size : HEADER.size + length]
        self.input = self.input[HEADER.size + length :]
        print(kind.decode(), end=" ")
        return kind, payload

    def until(self, wanted):
        while True:
            kind, payload = self.next()
            if kind is None or kind == wanted:
                return payload


def main(path, deed, *arguments):
    channel = Channel(path)
    send = channel.socket.sendall
    if deed == "version":
        send(hello(99))
        print(channel.until(b"N").rstrip(b"\0").decode())
    elif deed == "garbage":
        send(b"\0\0\0\x08\x04\xd2\x16\x2f" + os.urandom(200))
        channel.until(b"N")
    elif deed == "long":
        send(HEADER.pack(b"H", 0, 0x7FFFFFFF) + b"x" * 1000)
        channel.until(b"N")
    elif deed == "flood":
        socket.send_fds(channel.socket, [hello()], [0] * 40)
        channel.until(b"N")
    elif deed == "silent":
        channel.until(b"N")
    elif deed == "leave":
        send(hello())
        channel.until(b"I")
    elif deed == "wrong":
        send(hello())
        channel.until(b"I")
        send(record(b"l") + record(b"t") * 1000)
        channel.until(b"N")
    elif deed == "die":
        send(hello())
        channel.until(b"I")
        send(record(b"l"))
        for _ in range(int(arguments[0])):
            channel.until(b"C")
            send(record(b"t"))
        channel.until(b"C")


main(*sys.argv[1:])
