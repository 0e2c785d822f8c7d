"""The local model's server process: `python -m dayshift.embedded.llama WEIGHTS ALIAS FD`.

Loads the weights, listens on a free port of 127.0.0.1, writes its address to FD, and serves until a signal ends it; it has
nothing to save. A process of its own keeps the model's threads and memory out of everything else.
"""

import os
import signal
import sys

# The model's threads wait for each other by spinning, so two of them on two busy cores are ten times slower than one (10
# tokens/s against 90). One leaves room for the agents; a large machine has a second to spare.
THREADS = 1 if (os.cpu_count() or 1) < 8 else 2
SLOTS = 4  # requests that are answered at once
TOKENS_PER_SLOT = 2048
HTTP_THREADS = 16  # a streaming answer and a waiting request hold one each
PROMPT_CACHE_MIB = 256
# Where a request does not say: what the makers of so small a model advise; the server's own 0.8 makes it babble.
TEMPERATURE = 0.2
TOP_P = 0.9


def main(weights: str, alias: str, descriptor: str) -> None:
    """Serve until a signal ends the process."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.model_alias = {alias}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * TOKENS_PER_SLOT
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        threads.n_threads = THREADS
        threads.poll = 0  # between answers too, no spinning
    parameters.n_threads_http = HTTP_THREADS
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    parameters.sampling.temp = TEMPERATURE
    parameters.sampling.top_p = TOP_P
    parameters.offline = True
    # Nothing for browsers, and no look at other requests' prompts.
    parameters.ui = False
    parameters.cors_origins = ""
    parameters.endpoint_slots = False
    try:
        server = xllamacpp.Server(parameters)
    except RuntimeError as error:
        sys.exit(f"Cannot serve {weights}: {error}")
    with os.fdopen(int(descriptor), "w") as ready:
        ready.write(server.listening_address)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
