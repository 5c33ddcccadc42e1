"""What ``/metrics`` tells, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server.

    Attributes:
        waiting: observations that wait for their answer, by port: what stands still while a
            number is above 0 is this server, otherwise its client.
        errors: frames and connections that ended in an error, by cause: `client`, `policy`,
            `unauthorized` or `busy`.
        seconds: from an observation's arrival to its answer.
        reconnects: episodes that went on after a lost connection.
        lost: episodes of a port that ended because the server behind a relay did.
    """

    def __init__(self, connections: Callable[[], int]) -> None:
        """
        Args:
            connections: how many are open now.
        """
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "hearth_requests", "Requests served.", ["kind"], registry=registry
        )  # fmt: skip
        self._port_requests = Counter(
            "hearth_port_requests", "Requests served, by port.", ["port", "kind"],
            registry=registry,
        )  # fmt: skip
        self.waiting = Gauge(
            "hearth_waiting", "Observations that wait for an answer.", ["port"], registry=registry
        )
        self._steps = Gauge(
            "hearth_episode_steps", "Observations answered since the last reset.", ["port"],
            registry=registry,
        )  # fmt: skip
        self.errors = Counter(
            "hearth_errors", "Frames and connections refused.", ["cause"], registry=registry
        )  # fmt: skip
        self.seconds = Histogram(
            "hearth_request_seconds", "From an observation to its answer.",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.reconnects = Counter(
            "hearth_reconnects", "Episodes continued by a new connection.", registry=registry
        )  # fmt: skip
        self.lost = Counter(
            "hearth_lost", "Episodes that ended with the server behind this one.", ["port"],
            registry=registry,
        )  # fmt: skip
        self._prediction_seconds = Histogram(
            "hearth_prediction_seconds", "One batched prediction of the network.",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._batch_requests = Histogram(
            "hearth_batch_requests", "Requests that shared a prediction.",
            buckets=_ROWS, registry=registry,
        )  # fmt: skip
        Gauge("hearth_connections", "Open connections.", registry=registry).set_function(
            connections
        )

    def served(self, kind: str, port: int) -> None:
        """Count one `reset` or one answered `observation`."""
        self._requests.labels(kind).inc()
        self._port_requests.labels(str(port), kind).inc()
        steps = self._steps.labels(str(port))
        if kind == "reset":
            steps.set(0)
        else:
            steps.inc()

    def predicted(self, requests: int, seconds: float) -> None:
        """Count one batched prediction for so many requests."""
        self._batch_requests.observe(requests)
        self._prediction_seconds.observe(seconds)

    def text(self) -> bytes:
        """All values in Prometheus' text format."""
        return generate_latest(self._registry)
