"""The database: records, outbox, failures, and what workers report. It alone imports sqlmodel."""
