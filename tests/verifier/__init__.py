"""The verifier: nothing lost, nothing twice, nothing out of order, whatever fails.

    programs.py   what clients do: random, a pure function of the seed
    plan.py       what fails, and when: random, a pure function of the seed
    faults.py     the menu: how each fault is made and healed
    fleet.py      the real processes that work meanwhile, on engines of their own
    agents.py     the agents; they do what a program says, and leave a mark at the witness for each step
    witness.py    a process of its own that nothing fails in: it counts what agents do to the world
    client.py     a careful client; player.py plays programs with it and writes down every answer
    driver.py     runs both schedules side by side, heals everything, and waits for quiet
    diary.py      the ledger's own account of every change of a task, kept by a trigger
    record.py     all that was written down in a run; read it to know what happened
    oracle.py     what one task must have come to, in plain Python
    account.py    the whole: every accepted task accounted for, from outside and from inside
    recovery.py   how long it took after each fault
    report.py     the figures, and the evidence for each violation

Start it with `make verify` (docs/howto/verify.md).
"""
