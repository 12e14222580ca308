"""One module a contestant, each run in a process of its own.

    python -m benchmarks.contestants.NAME fill    URL QUEUE COUNT [FOLDER]
    python -m benchmarks.contestants.NAME consume URL QUEUE COUNT [FOLDER]
    python -m benchmarks.contestants.NAME emit    URL QUEUE COUNT [FOLDER]

`fill` puts the messages into the queue by the contestant's own client. `consume` handles
them with a handler that does nothing, `emit` with one that publishes one event for each. Both report the
seconds from the first message handled to the last one acked.
"""
