"""What learning refuses: data that teach nothing, models that cannot be trusted."""

from ..errors import UserError


class LearnError(UserError):
    """Data or settings that nothing can be learned from; the message says why."""


class ModelError(UserError):
    """A model, or a model file, that cannot be trusted or does not fit; one line says why."""
