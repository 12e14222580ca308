"""What Warren is tested with, and what its users test with.

engine.testing.harness       handlers under test, with a clock of their own
engine.testing.plugin        the same as a pytest fixture: pytest_plugins = ["engine.testing.plugin"]
engine.testing.scenario      aggregates: given events, when a command, then events
engine.testing.faults        named points where a test makes a worker crash
engine.testing.proxy         a TCP proxy that breaks the network
engine.testing.conformance   what every broker must do
"""
