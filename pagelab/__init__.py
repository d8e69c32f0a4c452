"""A laboratory for Linux physical memory: predict, step, see why."""

__version__ = "0.1.0"
