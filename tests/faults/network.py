"""Hosts with addresses of their own on one machine: network namespaces on a switch.

The folders are those of the machine, as if every host had mounted the same share.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

SUBNET = "10.213.77"
OURS = 254
"""The last part of our own address on the switch."""
RUN_AS_HOST = 'hostname "$0" && exec "$@"'


class NoNetwork(Exception):
    """This system gives us no network of our own."""


class Network:
    """A switch with as many hosts as are asked for, numbered from 1; gone with :meth:`close`."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise NoNetwork("only root can make a network")
        if shutil.which("ip") is None:
            raise NoNetwork("there is no command ip; on Debian and Ubuntu: apt install iproute2")
        self._prefix = f"cy{os.getpid() % 10**7}"
        self._switch = self._prefix
        self._names = [self._switch]
        self._last = 0
        try:
            ip("netns", "add", self._switch)
            self._ip("link", "add", "switch", "type", "bridge")
            self._ip("link", "set", "switch", "up")
            self._plug("ours", OURS, namespace="", peer=self._prefix)
        except subprocess.CalledProcessError as error:
            self.close()
            raise NoNetwork(f"this system gives us none: {error.stderr.decode()}") from error

    def add(self, name: str) -> Host:
        """Another host; its network has nothing but the switch."""
        self._last += 1
        namespace = f"{self._prefix}-{name}"
        ip("netns", "add", namespace)
        self._names.append(namespace)
        self._plug(name, self._last, namespace=namespace, peer="eth0")
        ip("-n", namespace, "link", "set", "lo", "up")
        return Host(name, f"{SUBNET}.{self._last}", namespace)

    def pull_the_cable(self, host: Host) -> None:
        """From now on nothing comes through, and nothing is closed."""
        self._ip("link", "set", host.name, "down")

    def plug_it_in(self, host: Host) -> None:
        """The cable is back."""
        self._ip("link", "set", host.name, "up")

    def close(self) -> None:
        """Takes all of it away."""
        for name in reversed(self._names):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)

    def _plug(self, port: str, number: int, *, namespace: str, peer: str) -> None:
        """A cable from the switch to a namespace, ``""`` for ours, with an address at its end."""
        self._ip("link", "add", port, "type", "veth", "peer", "name", peer,
                 "netns", namespace or str(os.getpid()))  # fmt: skip
        self._ip("link", "set", port, "master", "switch", "up")
        there = ["-n", namespace] if namespace else []
        ip(*there, "addr", "add", f"{SUBNET}.{number}/24", "dev", peer)
        ip(*there, "link", "set", peer, "up")

    def _ip(self, *arguments: str) -> None:
        ip("-n", self._switch, *arguments)


class Host:
    """A machine, as far as its network and its name go."""

    def __init__(self, name: str, address: str, namespace: str) -> None:
        self.name, self.address, self._namespace = name, address, namespace

    def command(self, *command: str) -> list[str]:
        """What runs ``command`` on this host, in the same process."""
        enter = ["ip", "netns", "exec", self._namespace, "unshare", "--uts"]
        return [*enter, "sh", "-c", RUN_AS_HOST, self.name, *command]


def ip(*arguments: str) -> None:
    """Raises ``CalledProcessError`` with what the command said."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network that is gone after the block. Raises :class:`NoNetwork`."""
    made = Network()
    try:
        yield made
    finally:
        made.close()
