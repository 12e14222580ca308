"""Membership of a broker file: a row and a lock file for each connection, and what happens when one is gone."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from engine.brokers.embedded.presence import Presence, clear, is_gone
from engine.brokers.embedded.router import Router
from engine.brokers.embedded.store import Store


class Member:
    """This connection among the others.

    The row says who it is, the lock file that it lives. Whoever finds the lock of another
    released gives back what was out with that one and deletes its row; a connection whose
    row is missing therefore holds nothing any more, and joins anew.
    """

    def __init__(self, folder: Path, app: str) -> None:
        self.id = 0
        self._folder = folder
        self._app = app
        self._presence: Presence | None = None

    def is_known(self, connection: sqlite3.Connection) -> bool:
        """Whether the others still count on it."""
        if self._presence is None:
            return False
        return bool(
            connection.execute(
                "SELECT 1 FROM connections WHERE id = ? AND lock = ?", (self.id, self._presence.name)
            ).fetchone()
        )

    def join(self, connection: sqlite3.Connection, now: float) -> None:
        """Take part, under a new id."""
        self.leave()
        self._presence = Presence(self._folder)
        (self.id,) = connection.execute(
            "INSERT INTO connections (lock, app, process, since) VALUES (?, ?, ?, ?) RETURNING id",
            (self._presence.name, self._app, os.getpid(), now),
        ).fetchone()

    def leave(self) -> None:
        """Let go of the lock file."""
        if self._presence:
            self._presence.release()
            self._presence = None

    def anyone_gone(self, connection: sqlite3.Connection) -> bool:
        """Whether another connection has died without a word."""
        rows = connection.execute("SELECT lock FROM connections WHERE id != ?", (self.id,)).fetchall()
        return any(is_gone(self._folder, lock) for (lock,) in rows)

    def reap(self, connection: sqlite3.Connection, store: Store, router: Router, now: float) -> bool:
        """Dismiss every connection that is gone; whether queues went with one."""
        changed = False
        for number, lock in connection.execute("SELECT id, lock FROM connections").fetchall():
            if number != self.id and is_gone(self._folder, lock):
                changed |= dismiss(connection, store, router, number, now)
                clear(self._folder, lock)
        return changed


def dismiss(connection: sqlite3.Connection, store: Store, router: Router, number: int, now: float) -> bool:
    """Give back what is out with a connection, and strike it off with its own queues; whether there were any."""
    router.give_back(store.held_by(number), now)
    for table in ("consumers", "line"):
        connection.execute(f"DELETE FROM {table} WHERE connection = ?", (number,))  # noqa: S608
    connection.execute("DELETE FROM connections WHERE id = ?", (number,))
    connection.execute("UPDATE state SET members = members + 1")
    queues = store.temporary_of(number)
    for queue in queues:
        store.delete_queue(queue)
    if queues:
        connection.execute("UPDATE state SET topology = topology + 1")
    return bool(queues)
