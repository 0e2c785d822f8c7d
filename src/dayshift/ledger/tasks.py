"""`ledger.tasks`: everything that can be done with tasks' rows, each part in a file of its own."""

from dayshift.ledger.accepting import Accepting
from dayshift.ledger.control import Control
from dayshift.ledger.database import Database
from dayshift.ledger.finishing import Finishing
from dayshift.ledger.keeping import Keeping
from dayshift.ledger.queueing import Queueing
from dayshift.ledger.starting import Starting


class Tasks(Accepting, Starting, Finishing, Control, Queueing, Keeping):
    """Tasks, from acceptance to oblivion. `accept`, `start` and `finish` are meant to be called by a group commit."""

    def __init__(self, database: Database) -> None:
        self._db = database
