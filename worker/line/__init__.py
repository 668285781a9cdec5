"""From a job to a finished shoot in staging: decode, batch, network, finish, encode."""
