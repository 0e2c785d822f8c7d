"""Series as Prometheus reads them (text format 0.0.4, by prometheus-client)."""

from collections.abc import Iterator
from itertools import accumulate

from dayshift.telemetry.metrics.folder import Series
from dayshift.telemetry.metrics.table import METRICS, Metric


def text_of(series: Series) -> bytes:
    """Every metric, also those without a series yet, so that a dashboard finds their names."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    def family_of(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
        mine = {labels: numbers for (name, labels), numbers in series.items() if name == metric.name}
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
            for labels, numbers in sorted(mine.items()):
                histogram.add_metric(labels, _buckets(metric, numbers), sum_value=numbers[-1])
            return histogram
        family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        values = family(metric.name, metric.meaning, labels=metric.labels)
        for labels, numbers in sorted(mine.items()):
            values.add_metric(labels, numbers[0])
        return values

    class Families:
        def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
            return map(family_of, METRICS)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families())
    return generate_latest(registry)


def _buckets(metric: Metric, numbers: list[float]) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in metric.bounds), "+Inf"]
    return list(zip(bounds, accumulate(numbers[:-1]), strict=True))
