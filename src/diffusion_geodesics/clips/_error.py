"""The error of a clip that cannot be used."""


class ClipError(ValueError):
    """A clip that cannot be used; the message says why and what to do."""
