"""The network and its science. Knows nothing of queues, settings or a studio's folders."""
