"""The error of model loading."""


class ModelError(ValueError):
    """A model that cannot be found, fetched or used; the message says what to do."""
