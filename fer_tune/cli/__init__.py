"""The `fer-tune` command: one thin module per command."""
