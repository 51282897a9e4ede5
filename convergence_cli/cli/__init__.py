"""The command line: one thin file a command, imported only when that command is asked for."""
