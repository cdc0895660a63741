"""Learn the facts of one host. Everything here has an effect: it asks."""

from infra.doctor.gather.host import Asked, gather

__all__ = ["Asked", "gather"]
