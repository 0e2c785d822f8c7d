"""The reference pages say what the code does."""

from pathlib import Path

from dayshift.telemetry.event_lines import level_name
from dayshift.telemetry.lines import LINE_RULES
from dayshift.telemetry.metrics.table import METRICS

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "metrics.md").read_text()


def test_every_metric_is_described():
    for metric in METRICS:
        labels = "".join(f"`{label}` " for label in metric.labels).strip() or "-"
        kind = metric.kind if metric.outlives_its_process else "gauge"
        assert f"| `{metric.name}` | {kind} | {labels} | {metric.meaning} |" in PAGE


def test_every_log_line_is_described():
    for event_class, rule in LINE_RULES.items():
        levels = ", ".join(level_name(level) for level in rule.levels or (rule.level,))
        assert f"| {event_class.__name__} | `{rule.name}` | {levels} |" in PAGE
