"""The same questions, asked of dayshift and of other Python queues and durable engines.

    python -m benchmarks.peers                     every peer, every question, three times each
    python -m benchmarks.peers pgqueuer restate    these peers only; the others keep their recorded figures

Each peer is a folder: `requirements.txt` (exact versions), `app.py` (its tasks, as its documentation writes them),
`adapter.py` (how it is started, fed and watched) and `README.md` (which settings were chosen, and where they are
documented). Four programs take part in a run, and only the third knows the peer's packages:

    __main__.py     in the project's environment: environments, engines, provider, repeats, report
    fakellm         the provider that counts calls, the same for all
    ask.py          in the peer's own environment: one question, asked once, through the peer's own client
    the worker      in the peer's own environment: the peer's own command line, running app.py

Read `peer.py` (what an adapter promises), then `questions.py` (what is measured, and from when to when).
"""
