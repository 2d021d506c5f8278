"""The error of a picture that cannot be used."""


class ImageError(ValueError):
    """An image that cannot be used; the message says why and what to do."""
