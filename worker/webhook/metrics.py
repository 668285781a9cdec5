"""The herald's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.webhook.herald import OUTCOMES, Herald


class HeraldMetrics(Collector):
    """How deliveries ended, and what is still to be told."""

    def __init__(self, herald: Herald) -> None:
        self._herald = herald

    def collect(self) -> Iterator[Metric]:
        """Prometheus' own hook."""
        deliveries = CounterMetricFamily(
            "cyclorama_webhook_deliveries",
            "Attempts to tell: heard, refused (3xx, 4xx), or away (not reached, busy, broken)",
            labels=["outcome"],
        )
        for outcome in OUTCOMES:
            deliveries.add_metric([outcome], self._herald.deliveries[outcome])
        yield deliveries
        yield GaugeMetricFamily(
            "cyclorama_webhook_untold",
            "Shoots that the receiver was not told of yet, as of the last look",
            value=self._herald.untold,
        )
