"""What a call will use, learned from what calls of the same agent and model did use.

Input: the size of the body says how much, and what was counted says how many tokens a unit of that is. Output: the 95th
percentile of the latest, never above what the call itself allows. Both are settled later. An estimate that is too low lets a minute
take more than it should: hence the percentile. One that is too high lets calls wait for each other's settling and then go at once, which
overflows a provider's shallow bucket: hence several hundred outputs, as a hundred of a heavy tail tell its percentile within a quarter only.
"""

import math
from collections import OrderedDict, deque

FIRST_OUTPUT_TOKENS = 500
REMEMBERED = 400
MAX_KNOWN = 2_000
_PERCENTILE = 0.95
_LOOK_AGAIN_AFTER, _LOOKS = 5, 20
_INPUT_WEIGHT = 0.1
_LEAST_FACTOR, _MOST_FACTOR = 0.1, 10.0


class _Known:
    __slots__ = ("factor", "outputs", "percentile", "seen")

    def __init__(self) -> None:
        self.factor = 1.0
        self.outputs: deque[int] = deque(maxlen=REMEMBERED)
        self.percentile: int | None = None
        self.seen = 0

    def learn_input(self, estimated: int, used: int) -> None:
        ratio = min(max(used / max(estimated, 1), _LEAST_FACTOR), _MOST_FACTOR)
        self.factor = ratio if not self.seen else self.factor + _INPUT_WEIGHT * (ratio - self.factor)

    def learn_output(self, used: int) -> None:
        self.outputs.append(used)
        self.seen += 1
        if self.seen <= _LOOK_AGAIN_AFTER or self.seen % max(_LOOK_AGAIN_AFTER, len(self.outputs) // _LOOKS) == 0:
            ordered = sorted(self.outputs)
            self.percentile = ordered[math.ceil(_PERCENTILE * len(ordered)) - 1]


class Estimates:
    """For each agent and model; those not heard of for longest are forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def tokens(self, agent: str, model: str, input_tokens: int, max_output_tokens: int | None) -> tuple[int, int]:
        """Input and output that a call will probably use."""
        known = self._known.get((agent, model))
        output = FIRST_OUTPUT_TOKENS if known is None or known.percentile is None else known.percentile
        factor = known.factor if known is not None else 1.0
        return max(1, round(input_tokens * factor)), output if max_output_tokens is None else min(
            output, max_output_tokens
        )

    def learn(self, agent: str, model: str, input_tokens: int, used_input: int | None, used_output: int | None) -> None:
        """What a call used whose body was thought to have `input_tokens`."""
        known = self._known.get((agent, model))
        if known is None:
            known = self._known[agent, model] = _Known()
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end((agent, model))
        if used_input is not None:
            known.learn_input(input_tokens, used_input)
        if used_output is not None:
            known.learn_output(used_output)
