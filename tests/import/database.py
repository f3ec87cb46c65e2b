"""Makes a database as upstream's server leaves it, and says what stands in it.

    database.py FILE ROWS PAGE_BYTES [FORM]     prints, for each row, what `hbb export --peers` does
    database.py FILE json                       prints its rows as `sqlite3 -json` does

Forms: `wal` (all of it in the log, as after a kill), `shut` (all of it in the file), `rowid` (a
table with row numbers and other columns), `long` (rows on pages of their own), `gaps` (rows that
were deleted again), `more` (user, status and note of every other row are there).
"""

import json
import os
import random
import sqlite3
import sys

OWN = """CREATE TABLE if not exists peer (
    guid blob primary key not null, id varchar(100) not null, uuid blob not null,
    pk blob not null, created_at datetime not null default(current_timestamp),
    user blob, status tinyint, note varchar(300), info text not null) without rowid"""
OTHER = """CREATE TABLE "peer" (number integer primary key, [note] text default ('a, b)'),
    info text, `pk` blob, "id" text, uuid blob, guid blob, created_at text,
    unique (id), check (length(id) > 0))"""
COLUMNS = "guid, id, uuid, pk, created_at, note, info"
INDEXES = ["unique index index_peer_id on peer (id)", "index index_peer_user on peer (user)",
           "index index_peer_created_at on peer (created_at)",
           "index index_peer_status on peer (status)"]


def row(number, form):
    chance = random.Random(number)
    note = None if form != "long" else "x" * chance.randrange(200_000)
    address = "::ffff:10.%d.%d.%d" % (number >> 16, number >> 8 & 255, number & 255)
    created = "2026-%02d-%02d 0%d:00:59" % (number % 12 + 1, number % 28 + 1, number % 10)
    return (chance.randbytes(16), str(100_000_000 + number), chance.randbytes(36),
            chance.randbytes(32), created, note, json.dumps({"ip": address}))


def make(path, rows, page_bytes, form):
    base = sqlite3.connect(path, isolation_level=None)
    base.execute(f"pragma page_size={page_bytes}")
    base.execute("pragma journal_mode=" + ("delete" if form == "shut" else "wal"))
    base.execute("pragma wal_autocheckpoint=" + ("0" if form == "wal" else "500"))
    base.execute(OTHER if form == "rowid" else OWN)
    for index in INDEXES if form != "rowid" else []:
        base.execute("create " + index)
    base.execute("begin")
    for number in range(rows):
        base.execute(f"insert into peer ({COLUMNS}) values (?,?,?,?,?,?,?)", row(number, form))
        if number % 500 == 499:
            base.execute("commit")
            base.execute("begin")
    if form == "gaps":
        base.execute("delete from peer where id % 10 < 7")
    if form == "more":
        base.execute("update peer set user=x'01', status=1, note='at the desk' where id % 2 = 0")
        base.execute("update peer set status=0, note='' where id % 2 = 1")
    base.execute("commit")
    # Not seen by anybody, as it is not committed.
    if form != "shut":
        base.execute("pragma cache_size=1")
        base.execute("begin")
        base.execute("update peer set uuid = x'00', info = 'none'")
    return base


def lines(base):
    for guid, id, uuid, pk, created, note, info in base.execute(
            f"select {COLUMNS} from peer order by id"):
        address = json.loads(info)["ip"].removeprefix("::ffff:")
        print(id, uuid.hex(), pk.hex(), created.replace(" ", "T"), address)


def main():
    path, rows, *rest = sys.argv[1:]
    if rows == "json":
        base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        base.row_factory = sqlite3.Row
        found = base.execute("select id, hex(uuid) uuid, hex(pk) pk, created_at, info, note, "
                             "status from peer")
        print("[" + ",\n".join(json.dumps(dict(row)) for row in found) + "]")
        return
    base = make(path, int(rows), int(rest[0]), rest[1])
    lines(sqlite3.connect(path))
    sys.stdout.flush()
    # As if it was killed: nothing is moved from the log to the file.
    os._exit(0)


main()
