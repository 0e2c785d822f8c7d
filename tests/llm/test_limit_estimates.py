"""What a call will use, learned; and what the headers of an answer say."""

from dayshift.llm.limits.estimates import FIRST_OUTPUT_TOKENS, REMEMBERED, Estimates
from dayshift.llm.limits.headers import heard_in


def learned(*outputs, input_tokens=100, used_input=100):
    estimates = Estimates()
    for output in outputs:
        estimates.learn("a", "m", input_tokens, used_input, output)
    return estimates


def test_the_first_call_is_guessed_within_what_it_allows_itself():
    assert Estimates().tokens("a", "m", 80, None) == (80, FIRST_OUTPUT_TOKENS)
    assert Estimates().tokens("a", "m", 80, 16) == (80, 16)


def test_nineteen_of_twenty_answers_are_no_longer_than_thought():
    outputs = [*range(1, 101)] * 2
    _, thought = learned(*outputs).tokens("a", "m", 100, None)
    assert 95 <= thought <= 97


def test_what_was_long_ago_is_forgotten():
    _, thought = learned(*[4_000] * 50, *[10] * (REMEMBERED + 5)).tokens("a", "m", 100, None)
    assert thought == 10


def test_agents_and_models_are_learned_apart():
    estimates = learned(7, 7, 7)
    assert estimates.tokens("a", "m", 100, None)[1] == 7
    assert estimates.tokens("b", "m", 100, None)[1] == estimates.tokens("a", "n", 100, None)[1] == FIRST_OUTPUT_TOKENS


def test_the_input_is_corrected_by_what_was_counted():
    estimates = learned(*[1] * 100, input_tokens=100, used_input=140)
    assert estimates.tokens("a", "m", 1_000, None)[0] == 1_400


def test_openais_and_anthropics_headers_are_understood():
    openai = {
        "X-RateLimit-Remaining-Requests": "599",
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-tokens": "0",
    }
    heard = heard_in(openai)
    assert (heard.remaining, heard.limits) == ((599, 0, -1, -1), (600, -1, -1, -1))
    anthropic = {"anthropic-ratelimit-output-tokens-remaining": "7", "anthropic-ratelimit-output-tokens-limit": "8000"}
    heard = heard_in(anthropic)
    assert (heard.remaining, heard.limits) == ((-1, -1, -1, 7), (-1, -1, -1, 8000))


def test_headers_that_say_nothing_of_use_are_passed_over():
    assert heard_in({}) is None
    for text in ("", "many", "-1", "1.5", "9" * 40, "²"):
        assert heard_in({"x-ratelimit-remaining-requests": text}) is None
