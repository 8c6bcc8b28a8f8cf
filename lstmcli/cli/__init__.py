"""The front door: commands, and the only room that knows a terminal."""
