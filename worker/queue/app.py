"""The Celery application, as watcher and worker share it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from redis import Redis
from redis.exceptions import RedisError

from worker.errors import BrokerError
from worker.queue.messages import JobMessage

if TYPE_CHECKING:
    from celery import Celery

QUEUE = "shoots"
QUEUED_AT = "queued_at"
TASK = "cyclorama.shoot"


def make_app(broker_url: str) -> Celery:
    """Celery on Redis: JSON only, acknowledged after the work, one message at a time."""
    from celery import Celery  # here: whoever only looks at Redis need not wait for it

    app = Celery("cyclorama", broker=broker_url)
    app.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,  # nobody on Redis stops or steers our workers
        worker_send_task_events=True,  # for Flower: they vanish where nobody listens
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # for ever: Redis comes back
        broker_transport_options={
            "visibility_timeout": 3600,
            "health_check_interval": 10,
            "socket_connect_timeout": 5,
            "socket_timeout": 10,
            "socket_keepalive": True,
        },
    )
    return app


class JobQueue:
    """The queue as watcher and command line see it: jobs go in."""

    def __init__(self, broker_url: str, redis: Redis) -> None:
        self._app, self._redis = make_app(broker_url), redis

    def send(self, message: JobMessage, *, at: float) -> None:
        """Queues a job; ``at`` is the time on its note. Raises :class:`BrokerError` when Redis does
        not take it."""
        from kombu.exceptions import OperationalError

        try:
            self._app.send_task(
                TASK,
                args=[message.model_dump(mode="json")],
                task_id=message.job,
                headers={QUEUED_AT: at},
                retry=False,
            )
        except (OperationalError, RedisError, OSError) as error:
            raise unreachable(self._app.conf.broker_url, error) from error

    def length(self) -> int:
        """Jobs that no worker has taken yet."""
        return int(self._redis.llen(QUEUE))

    def oldest(self) -> float | None:
        """When the job that is taken next was queued; see :func:`oldest_job`."""
        return oldest_job(self._redis)


def oldest_job(redis: Redis) -> float | None:
    """When the job that is taken next was queued, in seconds since the epoch; ``None`` when none
    waits. Jobs go first in, first out: what was queued before it is no longer there."""
    head = redis.lindex(QUEUE, -1)
    if head is None:
        return None
    try:
        return float(json.loads(head)["headers"][QUEUED_AT])
    except (ValueError, KeyError, TypeError):
        return 0.0  # not ours, or of an older program: it tells nothing


def connect(broker_url: str) -> Redis:
    """A client of the broker's Redis. Raises :class:`BrokerError` when it does not answer."""
    url = broker_url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    try:
        redis = Redis.from_url(
            url, socket_connect_timeout=5, socket_timeout=10, health_check_interval=10
        )
        redis.ping()
    except (RedisError, OSError, ValueError) as error:
        raise unreachable(broker_url, error) from error
    return redis


def unreachable(broker_url: str, cause: Exception) -> BrokerError:
    """The error for a Redis that does not answer; a password in the address is not shown."""
    scheme, _, rest = broker_url.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"
    return BrokerError(
        f"Redis at {shown} cannot be reached ({cause})",
        cure="Start it, or set CYCLORAMA_BROKER_URL to the right address; "
        "leave it empty to use the Redis that comes with the program",
    )
