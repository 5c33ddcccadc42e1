"""What all tests share."""

from hypothesis import settings

# Property tests compile and share the machine: how long one example takes says nothing.
settings.register_profile("hearth", deadline=None)
settings.load_profile("hearth")
