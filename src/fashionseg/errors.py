"""The exception for errors that a user can fix."""


class UserError(Exception):
    """Bad input, a missing file, a wrong parameter: shown as one line, without a traceback.

    The message names the file, row or key, what was expected and what was found.
    """
