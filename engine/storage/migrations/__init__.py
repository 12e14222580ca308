"""The migrations of Warren's tables, applied by `engine.storage.schema`."""
