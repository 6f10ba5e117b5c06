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

takeover.py DOOR lend DEED PORT: is asked at DOOR, lends a socket that listens on PORT, and misbehaves.  DEEDs:

  version    speaks a version that does not exist
  garbage    bytes of no meaning
  nothing    lends nothing
  die        goes when the other process listens
  no         says no then, and stays
  dead       sends a client and goes at once
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
    def __init__(self, path=None, accepted=None):
        self.socket = accepted or socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        if path:
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


def lend(path, deed, port):
    door, listener = socket.socket(socket.AF_UNIX), socket.socket()
    door.bind(path)
    door.listen()
    listener.bind(("127.0.0.1", int(port)))
    listener.listen()
    listener.setblocking(False)
    print("ready", flush=True)
    channel = Channel(accepted=door.accept()[0])
    send = channel.socket.sendall
    channel.until(b"H")
    if deed == "garbage":
        send(b"E\0\0\0\0\x08nonsense")
        return
    send(hello(99 if deed == "version" else 1))
    socket.send_fds(channel.socket, [record(b"D", b"", True)], [door.fileno()])
    if deed != "nothing":
        socket.send_fds(channel.socket, [record(b"L", b"\0", True)], [listener.fileno()])
    send(record(b"I"))
    if deed not in ("die", "no", "dead"):
        channel.until(None)
        return
    channel.until(b"l")
    if deed == "no":
        send(record(b"N", b"not today\0"))
        channel.until(None)
    if deed == "dead":
        ends = socket.socketpair()
        client = b"app\0app\0" + bytes(8) + b"12345678" + bytes(7 * 4)
        channel.socket.shutdown(socket.SHUT_RD)
        socket.send_fds(channel.socket, [record(b"C", client, True)], [ends[0].fileno()])


def main(path, deed, *arguments):
    if deed == "lend":
        lend(path, *arguments)
        return
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
