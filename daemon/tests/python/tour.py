"""What a client does with a daemon, from the first word to the last; run by daemon/tests/python.rs."""

import struct
import sys

from client import (
    COLLECTIONS, COUNT, DATABASES, EXECUTE, PATCH, STATISTICS, Client, DocDbError,
    expect, ident, long, operation, text, write,
)

client = Client(sys.argv[1])
assert client.version == 1 and client.server.startswith("docdbd "), client.server
assert client.limits["operations_per_request_max"] == 65535


def read(collection, key):
    return operation(2, collection, ident(key))


def create(collection, key, document):
    return write(1, collection, key, document)


def put(collection, key, document):
    return write(5, collection, key, document)


books = client.open("books")
assert client.open("books", make=False) == books


def refused(number, call, *arguments):
    try:
        call(*arguments)
    except DocDbError as error:
        assert error.number == number, error
        return error
    raise AssertionError("it was not refused")


refused(110, client.open, "films", False)
# Both kinds of ids, and what was written is read with its version.
[first] = client.execute(books, [create("novels", "momo", {"year": 1973})])
[second] = client.execute(books, [put("novels", 7, [1.0, None])])
assert client.execute(books, [read("novels", "momo"), read("novels", 7)]) == [(first, {"year": 1973}), (second, [1.0, None])]
assert client.execute(books, [operation(6, "novels", long(b'"next"'))]) == [(8, second + 1)]
error = refused(102, client.execute, books, [put("novels", 1, 1), create("novels", "momo", 0)])
assert error.context["operation"] == 1 and error.context["document"] == "momo", error
# Preconditions.
error = refused(117, client.execute, books, [expect("novels", "momo", second), put("novels", "momo", 0)])
assert "detail" in error.context, error
[done, third] = client.execute(books, [expect("novels", "momo", first), put("novels", "momo", {"year": 1974})])
assert done is None and third > second
[missing, removed] = client.execute(books, [read("novels", 99), operation(4, "novels", ident(8))], together=False)
assert missing.number == 103 and removed == third + 1
# A patch.
client.call(PATCH, struct.pack("<Q", books) + text("novels") + ident("momo") + long(b'{"title":"Momo"}'))
assert client.execute(books, [read("novels", "momo")])[0][1] == {"year": 1974, "title": "Momo"}
# Many requests under way, and their answers in whichever order.
head = struct.pack("<QBI", books, 1, 1)
requests = [(number, client.send(EXECUTE, head + put("many", number, number))) for number in range(100)]
for number, request in reversed(requests):
    answer = client.answer(request)
    assert answer.u(4) == 1 and answer.result() > third
# Pages, both ways.
everything = list(client.scan(books, "many", page=7))
assert everything == [(number, number) for number in range(100)]
assert list(client.scan(books, "many", descending=True, ids=True, first=10, last=20, page=3)) == list(range(20, 9, -1))
assert list(client.scan(books, "novels", ids=True)) == [7, "momo"]
# Counts and figures by name.
assert client.call(COUNT, struct.pack("<Q", books) + text("many")).u(8) == 100
answer = client.call(COLLECTIONS, struct.pack("<Q", books))
assert {answer.text(): answer.u(8) for _ in range(answer.u(4))} == {"_default": 0, "many": 100, "novels": 2}
answer = client.call(DATABASES)
[listed] = [(answer.text(), answer.u(8), answer.u(1), answer.figures()) for _ in range(answer.u(4))]
assert listed[:3] == ("books", books, 1) and listed[3]["documents"] == 102, listed
assert client.call(STATISTICS).figures()["databases"] == 1
# What is not there yet is refused, and the connection goes on.
refused(404, client.call, 35)
assert client.call(COUNT, struct.pack("<Q", books) + text("novels")).u(8) == 2
print("done")
