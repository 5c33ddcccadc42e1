"""The training loader: an index of byte positions, an order, readers, and grain to run ahead."""

from hearth.data.loader.loader import Batch, Loader

__all__ = ["Batch", "Loader"]
