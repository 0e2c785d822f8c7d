"""Finds the agents in FILE[:NAME]: a path or a module, and within it all agents or the one that is named."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from msgspec import Struct

from dayshift.agents.declaration import declaration_of
from dayshift.agents.registered import Agent
from dayshift.domain.errors import WrongUse
from dayshift.domain.pins import pinned_name

VERSION_LENGTH = 12


class LoadedAgents(Struct, frozen=True):
    """The agents of one file by name, where they came from, and the version of their code."""

    agents: dict[str, Agent]
    source: str
    version: str

    @property
    def pins(self) -> dict[str, str]:
        """Of the agents that are pinned to their version, what their tasks are claimed by once they have started."""
        return {name: pinned_name(name, self.version) for name, agent in self.agents.items() if agent.pin}


def load(target: str, *, version: str | None = None) -> LoadedAgents:
    """Import FILE[:NAME]. `version` is the code's version; without it, a hash of the file."""
    source, name = _split(target)
    module = _import_path(Path(source)) if _is_path(source) else _import_module(source)
    agents = _agents_in(module, source)
    if name is not None:
        agents = {agent.name: agent for agent in [_named(name, agents, module, source)]}
    return LoadedAgents(agents, source, version or _hash_of(module))


def _split(target: str) -> tuple[str, str | None]:
    source, separator, name = target.rpartition(":")
    if not separator or "/" in name or name.endswith(".py"):
        return target, None
    if not name or not source:
        raise WrongUse(f"{target!r}: give FILE, or FILE:NAME with the name of an agent in it")
    return source, name


def _is_path(source: str) -> bool:
    return source.endswith(".py") or "/" in source or Path(source).exists()


def _import_path(path: Path) -> ModuleType:
    if path.is_dir():
        raise WrongUse(f"{path} is a folder; name the Python file in it that holds the agents")
    if not path.is_file():
        raise WrongUse(f"{path}: no such file; check the path (now in {Path.cwd()})")
    path = path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))  # as `python FILE` does, so that it may import its neighbours
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    name = path.stem if known is None else f"dayshift_agents_of_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise WrongUse(f"{path} is not a Python file; give one that ends in .py")
    if isinstance(spec.loader, SourceFileLoader):
        spec.loader = _AsWritten(name, str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise WrongUse(f"{path} does not import: {_one_line(error, path)}") from error
    return module


class _AsWritten(SourceFileLoader):
    """Compiles the file each time, as `python FILE` does. Cached bytecode goes by the file's size and the second of its
    change: after two quick saves the first would run under the version of the second.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _import_module(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name is not None
            and f"{name}.".startswith(f"{error.name}.")
        ):
            raise WrongUse(f"{name}: no such file or module; give the path of a Python file") from error
        raise WrongUse(f"module {name} does not import: {_one_line(error, None)}") from error


def _one_line(error: BaseException, path: Path | None) -> str:
    """The exception and the line where it came up: the innermost one in the author's file, if any is."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if path is not None and frame.filename == str(path)] or frames
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text} ({own[-1].filename}, line {own[-1].lineno})"


def _agents_in(module: ModuleType, source: str) -> dict[str, Agent]:
    agents: dict[str, Agent] = {}
    for value in list(vars(module).values()):
        declaration = declaration_of(value)
        if declaration is None or any(agent.function is value for agent in agents.values()):
            continue
        if declaration.name in agents:
            places = " and ".join(_place(function) for function in (agents[declaration.name].function, value))
            raise WrongUse(f"{source}: two agents are called {declaration.name!r} ({places}); give one another name=")
        agents[declaration.name] = Agent(
            declaration, value, is_async=inspect.iscoroutinefunction(inspect.unwrap(value))
        )
    if not agents:
        raise WrongUse(f"{source} has no agents in it; put @agent above a function (from dayshift import agent)")
    return agents


def _named(name: str, agents: dict[str, Agent], module: ModuleType, source: str) -> Agent:
    function = getattr(module, name, None)
    for agent in agents.values():
        if agent.name == name or agent.function is function:
            return agent
    raise WrongUse(f"{source} has no agent {name!r}; it has {', '.join(sorted(agents))}")


def _place(function: object) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    return f"line {code.co_firstlineno}" if code is not None else repr(function)


def _hash_of(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    content = Path(file).read_bytes() if file is not None else module.__name__.encode()
    return hashlib.sha256(content).hexdigest()[:VERSION_LENGTH]
