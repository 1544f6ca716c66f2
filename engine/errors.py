"""The two kinds of error a command explains in one line; anything else is a bug."""


class UserError(ValueError):
    """The user can mend it: the message says what is wrong, where, and what is allowed."""


class Stopped(Exception):
    """A run stopped before its end and can be continued by the same command."""
