"""A client of DocDB's wire protocol, version 1, written from FORMAT.md alone."""

import json
import socket
import struct

MAGIC = b"DOCDBWIR"
HELLO, OPEN, CLOSE, DATABASES, COLLECTIONS, COUNT, EXECUTE, SCAN, STATISTICS, PATCH = range(1, 11)


class DocDbError(Exception):
    def __init__(self, number, text, context):
        super().__init__(f"{number} {text} {context}")
        self.number, self.text, self.context = number, text, context


class Fields:
    """The fields of an answer, taken off the front one by one."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        assert self.at <= len(self.data), "the answer is cut short"
        return self.data[self.at - count : self.at]

    def u(self, size):
        return int.from_bytes(self.take(size), "little")

    def text(self):
        return self.take(self.u(1)).decode()

    def bytes(self):
        return self.take(self.u(4))

    def id(self):
        return self.text() if self.u(1) else self.u(8)

    def figures(self):
        return {self.text(): self.u(8) for _ in range(self.u(2))}

    def error(self):
        number, _, text, context = self.u(2), self.u(1), self.text(), {}
        names = {1: "database", 2: "collection", 3: "document", 4: "operation", 5: "file", 6: "byte", 7: "detail"}
        for _ in range(self.u(1)):
            tag, field = self.u(1), Fields(self.take(self.u(2)))
            read = {3: field.id, 4: lambda: field.u(8), 6: lambda: field.u(8)}
            context[names.get(tag, tag)] = read.get(tag, lambda: field.data.decode())()
        return DocDbError(number, text, context)

    def result(self):
        kind = self.u(1)
        if kind == 0:
            return self.error()
        if kind == 3:
            return self.u(8), json.loads(self.bytes())
        return {1: lambda: self.u(8), 2: lambda: (self.u(8), self.u(8)), 4: lambda: None}[kind]()


def text(value):
    return bytes([len(value.encode())]) + value.encode()


def long(value):
    return struct.pack("<I", len(value)) + value


def ident(value):
    return b"\1" + text(value) if isinstance(value, str) else struct.pack("<BQ", 0, value)


def bound(value):
    return b"\0" if value is None else b"\1" + ident(value)


def operation(kind, collection, *fields):
    """2 read and 4 delete have an id alone."""
    return bytes([kind]) + text(collection) + b"".join(fields)


def write(kind, collection, key, document):
    """1 create, 3 update, 5 put."""
    return operation(kind, collection, ident(key), long(json.dumps(document).encode()))


def expect(collection, key, version):
    return operation(8, collection, ident(key), struct.pack("<Q", version))


class Client:
    def __init__(self, path):
        self.socket, self.next_id, self.early = socket.socket(socket.AF_UNIX), 1, {}
        self.socket.connect(path)
        self.socket.sendall(MAGIC)
        hello = self.send(HELLO, struct.pack("<HHQ", 1, 1, 0) + text("client.py"))
        assert self.receive(len(MAGIC)) == MAGIC, "the server does not speak version 1"
        answer = self.answer(hello)
        self.version, _, self.server, self.limits = answer.u(2), answer.u(8), answer.text(), answer.figures()

    def receive(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            assert piece, "the server closed the connection"
            data += piece
        return data

    def send(self, kind, fields=b""):
        """Sends a request without waiting; gives its id."""
        request, self.next_id = self.next_id, self.next_id + 1
        self.socket.sendall(long(struct.pack("<QB", request, kind) + fields))
        return request

    def answer(self, request):
        """The answer to a request, whatever comes before it."""
        while request not in self.early:
            fields = Fields(self.receive(int.from_bytes(self.receive(4), "little")))
            self.early[fields.u(8)] = fields
        fields = self.early.pop(request)
        if fields.u(1) == 0:
            raise fields.error()
        return fields

    def call(self, kind, fields=b""):
        return self.answer(self.send(kind, fields))

    def open(self, name, make=True):
        return self.call(OPEN, bytes([make]) + text(name)).u(8)

    def execute(self, database, operations, together=True):
        head = struct.pack("<QBI", database, together, len(operations))
        answer = self.call(EXECUTE, head + b"".join(operations))
        return [answer.result() for _ in range(answer.u(4))]

    def scan(self, database, collection, descending=False, ids=False, first=None, last=None, page=0):
        flags, cursor = descending | ids << 1, b""
        head = struct.pack("<Q", database) + text(collection) + bytes([flags]) + bound(first) + bound(last)
        while True:
            answer = self.call(SCAN, head + struct.pack("<IH", page, len(cursor)) + cursor)
            cursor, missing = answer.take(answer.u(2)), answer.u(1)
            assert not missing, "documents are lost or withheld"
            for _ in range(answer.u(4)):
                key, state = answer.id(), answer.u(1)
                yield (key, json.loads(answer.bytes())) if state == 0 else key
            if not cursor:
                return
