"""LLM calls: what a provider's requests and answers mean (`formats/`), and how those of an agent's own clients are met on
their way (`capture/`).
"""
