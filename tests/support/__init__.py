"""The test bed: brokers and databases that the tests start, break and stop for themselves."""
