"""The verifier: nothing lost, nothing twice, nothing out of order, whatever fails.

    errand.py     a task to come, and what a client does about it; score.py: what a durable one does
    programs.py   what clients do: random, a pure function of the seed; durable_programs.py: about durable errands
    plan.py       what fails, and when: random, a pure function of the seed
    faults.py     the menu: how each fault is made and healed
    fleet.py      the real processes that work meanwhile, on engines of their own
    agents.py     the agents; they do what a program says, and leave a mark at the witness for each step
    performer.py  how durable ones do a score: steps, tools, LLM calls, waits, children, at once and in turn
    world.py      a process of its own that nothing fails in: the witness, and a provider
    witness.py    it counts what agents do to the world
    client.py     a careful client; player.py plays programs with it and writes down every answer
    driver.py     runs both schedules side by side, heals everything, and waits for quiet
    diary.py      the ledger's own account of every change of a task, kept by a trigger
    inside.py     what the ledger holds at the end: rows, diary, journal
    record.py     all that was written down in a run; read it to know what happened
    case.py       all that is known of one errand
    oracle.py     what one task must have come to, in plain Python; score_oracle.py: what a journal must have spared
    histories.py  what conversations must hold
    account.py    the whole: every accepted task accounted for, from outside and from inside
    recovery.py   how long it took after each fault
    report.py     the figures, and the evidence for each violation

Start it with `make verify` (docs/howto/verify.md).
"""
