"""A broker in a SQLite file, shared by the processes of one machine: `embedded://`."""

from engine.brokers.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
