"""Where the monitor reads: settings, the links to database and broker, the newest picture of the fleet."""
