"""LLM calls: how those of an agent's own clients are met, which way they go, and what they come to.

capture/         below the clients: answered from the journal, or sent on
formats/         what providers' JSON means; read nowhere else
pipeline.py      the way of a call: cache, route, targets, and what is done when none of them answers
one_target.py    the way at one target: breaker, limit, budgets, permit, call, and again where that may help
routing.py       which targets a call may go to, by the settings
limits/          waiting in turn for what a provider lets all workers use
breakers/        leaving alone what is ill, and finding out when it is well
retry_budget.py  how often the fleet may try again
budgets/         what may be spent
prices/          what it costs
cache.py         equal calls, answered once
looking_again.py how often those who are parked for a provider look whether it is back
verdicts.py      what each answer of a provider means for all of these
layer.py         all of it, wired together for one worker
"""
