"""What can be done with a run: a door each, a method of `analysis.Run` and a command of the command line."""
