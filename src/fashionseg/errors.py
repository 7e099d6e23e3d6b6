"""The one exception for mistakes that a user can mend."""


class UserError(Exception):
    """Bad input, a missing file, a wrong parameter: shown as one line, without a traceback.

    The message names the file, row or key, what was expected and what came.
    """
