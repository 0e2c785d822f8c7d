"""Does an agent's file ask for a model? Read from its text, as the answer is needed before the file is run.

A look at the file's own words, not a proof: an import of a client library, or `ctx.openai()` and its like.
"""

import ast
from pathlib import Path

CLIENT_LIBRARIES = frozenset(
    {"agents", "anthropic", "autogen", "crewai", "langchain", "langchain_openai", "langgraph", "openai", "pydantic_ai"}
)
CONTEXT_CLIENTS = frozenset({"openai", "anthropic"})


def asks_for_model(target: str) -> bool:
    """Whether FILE[:NAME] names a client of a model. A file that cannot be read or parsed asks for none."""
    path = Path(target.rpartition(":")[0] if not Path(target).is_file() and ":" in target else target)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return False
    return any(_names_a_client(node) for node in ast.walk(tree))


def _names_a_client(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] in CLIENT_LIBRARIES for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.level == 0 and (node.module or "").partition(".")[0] in CLIENT_LIBRARIES
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CONTEXT_CLIENTS
