"""More agents for the tests of this room, in one file with the one of the how-to."""

from dayshift import Context, Fatal, Retry, agent


class Refused(Fatal):
    """What A2A shows as rejected."""

    code = "rejected"


@agent(max_attempts=2)
async def sums(ctx: Context, numbers: list[int]) -> dict[str, int]:
    """Adds.

    Nobody but we ourselves reads this paragraph.
    """
    if not numbers:
        raise Refused("there is nothing to add")
    if numbers == [0] and ctx.attempt == 1:
        raise Retry(0, "once more")
    if numbers == [404]:
        raise Fatal("no such sum")
    return {"sum": sum(numbers)}


@agent
async def clerk(ctx: Context, a2a_message: dict) -> dict:
    said = [part.get("filename", "text") for part in a2a_message["parts"]]
    if said == ["text"]:
        return {"a2a_message": {"parts": [{"text": f"{a2a_message['messageId']} in {a2a_message['contextId']}"}]}}
    return {"a2a_artifacts": [{"name": name, "parts": [{"raw": "aGk=", "filename": name}]} for name in said]}


@agent
async def patient(ctx: Context, text: str) -> str:
    await ctx.sleep(30)
    return text
