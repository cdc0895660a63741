"""Acts on one host through libvirt; knows nothing of plans or of the engine."""
