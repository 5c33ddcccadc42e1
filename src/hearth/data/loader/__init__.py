"""The training loader: an order, readers of indexed files, and grain to run ahead."""

from hearth.data.loader.loader import Batch, Loader

__all__ = ["Batch", "Loader"]
