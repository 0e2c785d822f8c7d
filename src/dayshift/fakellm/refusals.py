"""The 429s, in each provider's own words: what its SDK and its users read.

OpenAI has three kinds: a limit that refills (`type` names it, `rate_limit_exceeded`), a request above the whole limit (the same
code, but "Request too large": waiting is in vain), and `insufficient_quota`. Anthropic has one type, `rate_limit_error`; its
spend limit is an `invalid_request_error` of status 400 in its API's words, so no client retries it.
"""

from typing import Any

from dayshift.fakellm.limit_headers import go_duration
from dayshift.fakellm.limits import Refusal

_ABBREVIATIONS = {"requests": "RPM", "tokens": "TPM", "input_tokens": "TPM", "output_tokens": "TPM"}
_VISIT = "Visit https://platform.openai.com/account/rate-limits to learn more."


def openai_refusal(refusal: Refusal, model: str) -> tuple[int, dict[str, Any]]:
    """Status and body."""
    if refusal.kind == "quota":
        message = "You exceeded your current quota, please check your plan and billing details."
        return 429, _openai(message, "insufficient_quota", "insufficient_quota")
    kind = "requests" if refusal.bucket == "requests" else "tokens"
    if refusal.kind == "concurrent":
        message = f"Too many concurrent requests for {model}: Limit {refusal.limit:.0f}. Please try again later."
        return 429, _openai(message, "requests", "rate_limit_exceeded")
    where = f"{model} in organization org-fakellm on {kind} per min ({_ABBREVIATIONS[refusal.bucket]})"
    if refusal.kind == "too_large":
        message = (
            f"Request too large for {where}: Limit {refusal.limit:.0f}, Requested {refusal.requested:.0f}. "
            f"The input or output tokens must be reduced in order to run successfully. {_VISIT}"
        )
    else:
        wait = go_duration(refusal.wait_seconds or 0)
        message = (
            f"Rate limit reached for {where}: Limit {refusal.limit:.0f}, Used {refusal.used:.0f}, "
            f"Requested {refusal.requested:.0f}. Please try again in {wait}. {_VISIT}"
        )
    return 429, _openai(message, kind, "rate_limit_exceeded")


def anthropic_refusal(refusal: Refusal, request_id: str) -> tuple[int, dict[str, Any]]:
    """Status and body."""
    if refusal.kind == "quota":
        message = "You have reached your specified API usage limits."
        return 400, _anthropic("invalid_request_error", message, request_id)
    if refusal.kind == "concurrent":
        message = "Number of concurrent connections has exceeded your rate limit. Please try again later."
    else:
        unit = refusal.bucket.replace("_", " ")
        message = (
            f"This request would exceed the rate limit for your organization of {refusal.limit:,.0f} {unit} per minute."
        )
    return 429, _anthropic("rate_limit_error", message, request_id)


def _openai(message: str, kind: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(kind: str, message: str, request_id: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
