"""Settings: what can change while dayshift runs.

`LiveSettings` holds what is in force in this process; `SettingsStore` reads, changes and explains the versions in the
ledger. To read: paths, shape (what is valid), document (what stored paths add up to), store, live.
"""

from dayshift.settings.live import LiveSettings
from dayshift.settings.store import Change, Difference, PathChange, SettingsStore

__all__ = ["Change", "Difference", "LiveSettings", "PathChange", "SettingsStore"]
