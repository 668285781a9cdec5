"""Tells another program of each finished shoot, signed, until it has heard."""
