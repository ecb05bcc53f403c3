"""Which mutants of the judging code the unit suite notices: mutmut's operators on ``checks``, ``oracles``, ``slicing``.

``python benchmarks/code_mutants.py [--only PART] [--again] [--fail-under PERCENT]``, see docs/mutation-testing.md.

mutmut itself leaves out functions with a decorator, which all checks are; so its operators are used, with some of our
own, and this runs them. The suite is collected once. A mutant of a function's body is tried in a fork of that process:
the function gets the mutant's code, and those tests run that reach the lines changed, until one fails. A mutant of what
runs at import (decorators, constants, defaults) is run anew in a fork where its module is one of checks. What survives
of these, what ran at import too, and what other modules do there is tried on the whole suite in a fork that has
imported none of the project yet.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import mmap
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import coverage
import hypothesis
import libcst as cst
import libcst.matchers as m
import numpy  # noqa: F401  # heavy, and needed by each run: imported before the forks
import pydantic  # noqa: F401
import pytest
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "image_spans"
TARGETS = [
    *sorted((PACKAGE / "checks").glob("*.py")),
    PACKAGE / "oracles.py",
    *sorted((PACKAGE / "slicing").glob("*.py")),
]
SUITE = [
    f"tests/unit/test_{name}.py"
    for name in (
        "checks",
        "declared_checks",
        "entries",
        "truncation",
        "diagnosis",
        "oracles",
        "contract",
        "texts",
        "slicing",
    )
]
# The toy tokenizer alone: not the slice rules' comparison with the libraries they stand for.
CHOICE = ["-k", "not transformers and not mistral_common", *SUITE]
PYTEST = ["-q", "-p", "no:cacheprovider", "-W", "ignore:Module already imported", *CHOICE]
CALLS_LEFT = {"len", "isinstance", "TypeVar"}
"""Calls whose arguments are not mutated, as in mutmut: an exception is no fault that a test should look for."""


# ---------------------------------------------------------------- the mutants


@dataclass(frozen=True)
class Mutant:
    path: Path
    function: str
    """The outermost function that it is in; empty for what runs at import."""
    lines: tuple[int, int]
    """First and last line of the statement (of a block its head)."""
    source: str
    """The whole module."""
    was: str
    now: str

    @property
    def module(self) -> str:
        parts = self.path.relative_to(PACKAGE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def place(self) -> str:
        return f"{self.module.removeprefix('image_spans.')}:{self.lines[0]}"

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.module}\n{self.source}".encode()).hexdigest()[:16]


def condition(node: cst.If | cst.While | cst.CompIf) -> Iterator[cst.CSTNode]:
    """A condition that always or never holds: with ``never`` a rule is gone."""
    for value in ("True", "False"):
        if not (isinstance(node, cst.While) and value == "True"):  # it would not end
            yield node.with_changes(test=cst.Name(value))


def operand(node: cst.BooleanOperation) -> Iterator[cst.CSTNode]:
    """Half of an ``and`` or ``or``."""
    yield node.left
    yield node.right


def returned(node: cst.Return) -> Iterator[cst.CSTNode]:
    """Nothing comes back: where a finding does, that is the check removed."""
    if node.value is not None and not m.matches(node.value, m.Name("None")):
        yield node.with_changes(value=cst.Name("None"))


def weakened(node: cst.Comparison) -> Iterator[cst.CSTNode]:
    """An equality that holds in one direction more; what mutmut makes is its opposite. Names have no order."""
    if len(node.comparisons) == 1 and isinstance(node.comparisons[0].operator, (cst.Equal, cst.NotEqual)):
        target = node.comparisons[0]
        if any(m.matches(side, m.SimpleString() | m.Name("PLACEHOLDER")) for side in (node.left, target.comparator)):
            return
        pair = (
            (cst.LessThanEqual, cst.GreaterThanEqual)
            if isinstance(target.operator, cst.Equal)
            else (cst.LessThan, cst.GreaterThan)
        )
        for operator in pair:
            yield node.with_changes(comparisons=[target.with_changes(operator=operator())])


def reduced(node: cst.Call) -> Iterator[cst.CSTNode]:
    """any for all, min for max, and back."""
    swap = {"any": "all", "all": "any", "min": "max", "max": "min"}
    if isinstance(node.func, cst.Name) and node.func.value in swap:
        yield node.with_changes(func=cst.Name(swap[node.func.value]))


OWN = [
    (cst.If, condition),
    (cst.While, condition),
    (cst.CompIf, condition),
    (cst.BooleanOperation, operand),
    (cst.Return, returned),
    (cst.Comparison, weakened),
    (cst.Call, reduced),
]
OPERATORS = [*mutation_operators, *OWN]


def skipped(node: cst.CSTNode) -> bool:
    """What is no code that judges: types, assertions (zip's strict is one), docstrings, imports."""
    if isinstance(node, (cst.Annotation, cst.Assert, cst.Import, cst.ImportFrom)):
        return True
    if isinstance(node, cst.AnnAssign) and m.matches(node.annotation.annotation, m.Name("TypeAlias")):
        return True
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in CALLS_LEFT:
        return True
    if isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value == "strict":
        return True
    return isinstance(node, cst.Expr) and isinstance(node.value, (cst.SimpleString, cst.ConcatenatedString))


def mutants_of(path: Path) -> Iterator[Mutant]:
    source = path.read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(source))
    places, parents = wrapper.resolve(PositionProvider), wrapper.resolve(ParentNodeProvider)
    tree = wrapper.module
    codes = [tree.code_for_node(statement) for statement in tree.body]
    head = "".join(tree.code_for_node(line) for line in tree.header)
    assert head + "".join(codes) + "".join(tree.code_for_node(line) for line in tree.footer) == source

    def walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        if not skipped(node):
            yield node
            for child in node.children:
                yield from walk(child)

    for index, statement in enumerate(tree.body):
        before, seen = codes[index].splitlines(), {codes[index]}
        for node in walk(statement):
            for operator in (operator for kind, operator in OPERATORS if isinstance(node, kind)):
                for new in operator(node):
                    if strict(node) and not strict(new):
                        continue
                    if isinstance(node, (cst.BooleanOperation, cst.UnaryOperation)):
                        new = new.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
                    changed = tree.code_for_node(statement.deep_replace(node, new))
                    if changed in seen or not compiles(changed):
                        continue
                    seen.add(changed)
                    diff = list(difflib.unified_diff(before, changed.splitlines(), n=0, lineterm=""))[3:]
                    was, now = (" ".join(line[1:].strip() for line in diff if line[0] == sign) for sign in "-+")
                    whole = head + "".join([*codes[:index], changed, *codes[index + 1 :]])
                    yield Mutant(path, owner(node, parents), lines(node, parents, places), whole, was, now)


def strict(node: cst.CSTNode) -> bool:
    """Whether it asks zip to compare lengths: an assertion, which the linter wants wherever zip is called."""
    return m.matches(
        node, m.Call(args=[m.ZeroOrMore(), m.Arg(keyword=m.Name("strict"), value=m.Name("True")), m.ZeroOrMore()])
    )


def compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def owner(node: cst.CSTNode, parents: Any) -> str:
    """The qualified name of the outermost function in whose body a node is."""
    names: list[str] = []
    inside: str | None = None
    child, parent = node, parents.get(node)
    while parent is not None:
        if isinstance(parent, cst.FunctionDef):
            inside = parent.name.value if child is parent.body else None
            names = [parent.name.value]
        elif isinstance(parent, cst.ClassDef):
            names.insert(0, parent.name.value)
        child, parent = parent, parents.get(parent)
    return ".".join(names) if inside else ""


def lines(node: cst.CSTNode, parents: Any, places: Any) -> tuple[int, int]:
    child = node
    while not isinstance(child, (cst.SimpleStatementLine, cst.BaseCompoundStatement)):
        if isinstance(parents[child], cst.BaseCompoundStatement):
            break  # a head
        child = parents[child]
    if isinstance(child, cst.BaseCompoundStatement):  # the statement itself: its head
        where = places[child]
        return where.start.line, max(where.start.line, places[child.body].start.line)
    where = places[child]
    return where.start.line, where.end.line


# ---------------------------------------------------------------- functions that get a mutant's code


def code_of(source: str, path: Path, name: str) -> CodeType:
    code = compile(source, str(path), "exec")
    for part in name.split("."):
        code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == part)
    return code


def function_of(module: ModuleType, name: str) -> FunctionType:
    found: Any = module
    for part in name.split("."):
        found = vars(found)[part]
    if hasattr(found, "cache_clear"):
        found.cache_clear()
    found = getattr(found, "__wrapped__", found)
    for inner in ("fget", "func"):  # a property, a cached one
        found = getattr(found, inner, found)
    assert isinstance(found, FunctionType), name
    return found


class MutatedImport(importlib.abc.MetaPathFinder):
    """Gives the mutant's source where its module is imported."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.mutant.module:
            return None
        mutant = self.mutant

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                return compile(mutant.source, str(mutant.path), "exec")

        place = str(mutant.path)
        folder = [str(mutant.path.parent)] if mutant.path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname, place, loader=Loader(fullname, place), submodule_search_locations=folder
        )


# ---------------------------------------------------------------- trying them


def registers(mutant: Mutant) -> bool:
    """Whether its module does nothing at import but register checks: no class of it is known elsewhere."""
    return mutant.path.parent.name == "checks" and mutant.path.name != "__init__.py"


def in_fork(function: Any, cpu: int) -> str:
    """What became of a fork: survived, killed, or timeout."""
    pid = os.fork()
    if not pid:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
            resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            os._exit(int(function()))
        except BaseException:
            os._exit(3)
    end = time.monotonic() + 20 * cpu + 60
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    if os.WIFSIGNALED(status):
        return "timeout"
    return "killed" if os.WEXITSTATUS(status) else "survived"


def settle_hypothesis() -> None:
    settled = hypothesis.settings(derandomize=True, database=None, deadline=None)
    hypothesis.settings.register_profile("code_mutants", settled)
    hypothesis.settings.load_profile("code_mutants")


class Runner:
    """A pytest plugin: in place of running the suite it tries mutants on it."""

    def __init__(self, mutants: Sequence[Mutant], report: Any) -> None:
        self.mutants, self.report = mutants, report
        self.failed = False
        self.killer = mmap.mmap(-1, 8)
        """Which test failed, as a fork tells its parent: what kills one mutant often kills the next."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed

    def run(self, item: pytest.Item) -> bool:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        seconds, reach = self.baseline(session)
        kills: Counter[tuple[Path, int]] = Counter()
        numbers = {item.nodeid: number for number, item in enumerate(session.items)}
        for mutant in self.mutants:
            ran = reach.get(str(mutant.path), {})
            reaching = {name for line in range(mutant.lines[0], mutant.lines[1] + 1) for name in ran.get(line, ())}
            items = [item for item in session.items if not mutant.function or item.nodeid in reaching]
            items.sort(key=lambda item: (-kills[mutant.path, numbers[item.nodeid]], seconds[item.nodeid]))
            at_import = "" in reaching or not mutant.function
            if not items:
                self.report(mutant, "survived" if at_import else "not reached", 0, at_import)
                continue
            start = time.monotonic()
            budget = 3 + int(3 * sum(seconds[item.nodeid] for item in items))
            outcome = in_fork(functools.partial(self.attempt, mutant, items, numbers), budget)
            if outcome == "killed":
                kills[mutant.path, int.from_bytes(self.killer[:8], "big")] += 1
            self.report(mutant, outcome, time.monotonic() - start, at_import)
        return True

    def baseline(self, session: pytest.Session) -> tuple[dict[str, float], dict[str, dict[int, set[str]]]]:
        seconds: dict[str, float] = {}
        watch = coverage.Coverage(data_file=None, config_file=False, include=[str(path) for path in TARGETS])
        watch.start()
        # What ran at import is measured by importing it once more, out of sight.
        kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "image_spans"}
        for name in kept:
            del sys.modules[name]
        for name in kept:
            importlib.import_module(name)
        for name in [name for name in sys.modules if name.partition(".")[0] == "image_spans"]:
            del sys.modules[name]
        sys.modules.update(kept)
        for item in session.items:
            watch.switch_context(item.nodeid)
            start = time.process_time()
            if not self.run(item):
                raise SystemExit(f"fails without any mutant: {item.nodeid}")
            seconds[item.nodeid] = time.process_time() - start
        watch.stop()
        data = watch.get_data()
        reach = {
            path: {line: set(names) for line, names in data.contexts_by_lineno(path).items()}
            for path in data.measured_files()
        }
        print(f"{len(session.items)} tests in {sum(seconds.values()):.1f} s (CPU, with coverage)", flush=True)
        return seconds, reach

    def attempt(self, mutant: Mutant, items: Sequence[pytest.Item], numbers: dict[str, int]) -> bool:
        """Whether a test fails on a mutant."""
        module = sys.modules[mutant.module]
        if mutant.function:
            function_of(module, mutant.function).__code__ = code_of(mutant.source, mutant.path, mutant.function)
        else:
            registry = sys.modules["image_spans.checks"]._REGISTRY
            for name in [name for name, check in registry.items() if check.judge.__module__ == mutant.module]:
                del registry[name]
            exec(compile(mutant.source, str(mutant.path), "exec"), module.__dict__)
        failing = next((item for item in items if not self.run(item)), None)
        if failing is not None:
            self.killer[:8] = numbers[failing.nodeid].to_bytes(8, "big")
        return failing is not None


class Checked:
    """A pytest plugin for a fork that imports all anew."""

    def pytest_configure(self) -> None:
        settle_hypothesis()


def at_import(mutant: Mutant) -> str:
    """What becomes of a mutant that is imported: tried on the nearest tests first, then on all."""

    def run(arguments: Sequence[str]) -> int:
        sys.meta_path.insert(0, MutatedImport(mutant))
        return int(pytest.main(["-x", *arguments], plugins=[Checked()]))

    near = next((name for name in ("oracles", "slicing") if name in mutant.module), "checks")
    options = [argument for argument in PYTEST if argument not in SUITE]
    outcome = in_fork(functools.partial(run, [*options, f"tests/unit/test_{near}.py"]), 120)
    return in_fork(functools.partial(run, PYTEST), 120) if outcome == "survived" else outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--only", default="", help="only modules with this in their path")
    parser.add_argument("--again", action="store_true", help="only what the results do not show to be killed")
    parser.add_argument("--fail-under", type=float, default=0, help="percent of all mutants that must be killed")
    parser.add_argument("--results", type=Path, default=ROOT / ".mutants.jsonl")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    sys.dont_write_bytecode = True
    mutants = [mutant for path in TARGETS if chosen.only in path.as_posix() for mutant in mutants_of(path)]
    all_mutants, known = mutants, {}
    if chosen.again and chosen.results.exists():
        known = {entry["key"]: entry for entry in map(json.loads, chosen.results.read_text().splitlines())}
    if chosen.again:
        mutants = [m for m in mutants if known.get(m.key, {"outcome": ""})["outcome"] not in ("killed", "timeout")]
    print(f"{len(mutants)} mutants", flush=True)
    start = time.monotonic()
    with chosen.results.open("a" if chosen.again else "w", encoding="utf-8") as results:

        def report(mutant: Mutant, outcome: str, seconds: float, ran_at_import: bool) -> None:
            entry = {
                "key": mutant.key, "place": mutant.place, "function": mutant.function, "outcome": outcome,
                "import": ran_at_import, "seconds": round(seconds, 2), "was": mutant.was, "now": mutant.now,
            }  # fmt: skip
            results.write(json.dumps(entry) + "\n")
            results.flush()

        bodies = [mutant for mutant in mutants if mutant.function or registers(mutant)]
        pid = os.fork()
        if not pid:
            settle_hypothesis()
            code = 3
            try:
                code = int(pytest.main(["-s", *PYTEST], plugins=[Runner(bodies, report)]))
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if status:
            raise SystemExit("the suite could not be run")
        entries = {entry["key"]: entry for entry in map(json.loads, chosen.results.read_text().splitlines())}
        for mutant in mutants:
            earlier = entries.get(mutant.key)
            if earlier is None or (earlier["outcome"] == "survived" and earlier["import"]):
                began = time.monotonic()
                report(mutant, at_import(mutant), time.monotonic() - began, True)
    entries = {entry["key"]: entry for entry in map(json.loads, chosen.results.read_text().splitlines())}
    score = summary([entries[mutant.key] for mutant in all_mutants], time.monotonic() - start)
    raise SystemExit(int(100 * score < chosen.fail_under))


def summary(entries: list[dict[str, Any]], seconds: float) -> float:
    """Prints what survived and the score, which is returned."""
    for entry in entries:
        if entry["outcome"] not in ("killed", "timeout"):
            print(f"{entry['outcome']}  {entry['place']}  {entry['function']}\n  - {entry['was']}\n  + {entry['now']}")
    made, dead = Counter[str](), Counter[str]()
    for entry in entries:
        module = entry["place"].partition(":")[0]
        made[module] += 1
        dead[module] += entry["outcome"] in ("killed", "timeout")
    print("\n| module | mutants | killed | survived |\n|---|---|---|---|")
    for module in made:
        print(f"| `{module}` | {made[module]} | {dead[module]} | {made[module] - dead[module]} |")
    total, killed = sum(made.values()), sum(dead.values())
    print(f"| all | {total} | {killed} ({killed / total:.1%}) | {total - killed} |\n\n{seconds / 60:.1f} minutes")
    return killed / total


if __name__ == "__main__":
    main()
