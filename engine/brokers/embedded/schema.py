"""The tables of a broker file.

    contents ◀── ready (waits in a queue) ──take──▶ unacked (out with a connection) ──ack──▶ gone
                   ▲                                   │
                   └──────── returned, dead-lettered ──┘

A message is stored once in `contents`; each queue that it was routed to has an entry. The
position of an entry, unique in the file, is its place in the queue, to which it returns.
`shares` counts the entries of a message with more than one. An entry in `unacked` with
connection 0 is a dead letter that no queue wants as yet.
"""

from __future__ import annotations

from typing import Final

#: "WRBK", so that a database of another program is told apart.
APPLICATION_ID: Final = 0x5752424B

#: Kept in `PRAGMA user_version`.
SCHEMA_VERSION: Final = 1

#: Queues that go with a connection.
TEMPORARY: Final = "CREATE TABLE IF NOT EXISTS temporary (queue INTEGER PRIMARY KEY, connection INTEGER NOT NULL)"

#: Streams have copies of their own, and no entries in `ready`. A segment has the offsets from `first` up to `next`; its
#: `bytes` are those of headers and bodies.
SEGMENTS: Final = """CREATE TABLE IF NOT EXISTS segments (
    queue INTEGER NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL, bytes INTEGER NOT NULL, newest REAL NOT NULL,
    PRIMARY KEY (queue, first)
) WITHOUT ROWID"""
ENTRIES: Final = """CREATE TABLE IF NOT EXISTS entries (
    queue INTEGER NOT NULL, position INTEGER NOT NULL, time REAL NOT NULL,
    exchange TEXT NOT NULL, routing_key TEXT NOT NULL,
    message_id TEXT, correlation_id TEXT, type TEXT, app_id TEXT,
    content_type TEXT, content_encoding TEXT, reply_to TEXT, timestamp INTEGER,
    headers TEXT, body BLOB NOT NULL,
    PRIMARY KEY (queue, position)
) WITHOUT ROWID"""

#: Who consumes a queue with a single active consumer, in the order in which they came: the first has it.
LINE: Final = (
    "CREATE TABLE IF NOT EXISTS line"
    " (place INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, connection INTEGER NOT NULL, number INTEGER NOT NULL)"
)

#: Tables that files from before have made when they are opened.
LATER: Final = {"temporary": TEMPORARY, "segments": SEGMENTS, "entries": ENTRIES, "line": LINE}

SCHEMA: Final = (
    """CREATE TABLE state (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        identity TEXT NOT NULL,
        topology INTEGER NOT NULL DEFAULT 1,
        members INTEGER NOT NULL DEFAULT 1,
        position INTEGER NOT NULL DEFAULT 0
    )""",
    "INSERT INTO state (one, identity) VALUES (1, lower(hex(randomblob(16))))",
    "CREATE TABLE exchanges (name TEXT PRIMARY KEY, kind TEXT NOT NULL, arguments TEXT NOT NULL) WITHOUT ROWID",
    "INSERT INTO exchanges VALUES ('amq.topic', 'topic', '{}'), ('amq.direct', 'direct', '{}')",
    "CREATE TABLE queues (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, arguments TEXT NOT NULL)",
    """CREATE TABLE bindings (
        exchange TEXT NOT NULL, queue INTEGER NOT NULL, pattern TEXT NOT NULL,
        PRIMARY KEY (exchange, queue, pattern)
    ) WITHOUT ROWID""",
    """CREATE TABLE connections (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lock TEXT NOT NULL UNIQUE, app TEXT NOT NULL, process INTEGER NOT NULL, since REAL NOT NULL
    )""",
    """CREATE TABLE consumers (
        connection INTEGER NOT NULL, number INTEGER NOT NULL, queue INTEGER NOT NULL,
        PRIMARY KEY (connection, number)
    ) WITHOUT ROWID""",
    """CREATE TABLE contents (
        id INTEGER PRIMARY KEY,
        exchange TEXT NOT NULL, routing_key TEXT NOT NULL,
        message_id TEXT, correlation_id TEXT, type TEXT, app_id TEXT,
        content_type TEXT, content_encoding TEXT, reply_to TEXT, timestamp INTEGER,
        headers TEXT, body BLOB NOT NULL
    )""",
    "CREATE TABLE shares (content INTEGER PRIMARY KEY, holders INTEGER NOT NULL)",
    # exchange and routing_key: where a dead letter came by, NULL for those it was published with.
    """CREATE TABLE ready (
        queue INTEGER NOT NULL, position INTEGER NOT NULL,
        content INTEGER NOT NULL, shared INTEGER NOT NULL, returns INTEGER NOT NULL, expires REAL,
        exchange TEXT, routing_key TEXT,
        PRIMARY KEY (queue, position)
    ) WITHOUT ROWID""",
    "CREATE INDEX expiring ON ready (expires) WHERE expires IS NOT NULL",
    *LATER.values(),
    """CREATE TABLE unacked (
        position INTEGER PRIMARY KEY,
        connection INTEGER NOT NULL, queue INTEGER NOT NULL,
        content INTEGER NOT NULL, shared INTEGER NOT NULL, returns INTEGER NOT NULL, expires REAL,
        exchange TEXT, routing_key TEXT
    )""",
)
