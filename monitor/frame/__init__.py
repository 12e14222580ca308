"""What every screen of the monitor has: header, hints, help, palette, dialogs."""
