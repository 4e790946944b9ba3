"""Values, states, decisions and errors: standard library only, no IO, no async, no clock."""
