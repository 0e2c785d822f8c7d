"""One question a file: each has an `ask` that starts a real dayshift, measures it beside a floor in the same run, several
times, and returns a report. Absolute figures hold for the machine they were measured on; ratios are what to compare.
"""

# In the order in which they are asked and shown.
QUESTIONS = ("accept", "drain", "latency", "many_agents", "journal", "memory", "telemetry", "growth", "recovery")
# Those that take long are asked only when they are named.
ON_REQUEST = (
    "llm_overhead",
    "shared_limit",
    "tenant_limits",
    "real_traffic",
    "parked",
    "rebuild",
    "engines_lost",
    "rolling",
    "streams",
    "overload",
    "soak",
)
