"""Mutation testing: small faults are put into the code one at a time, and its tests have to notice each of them.

A seeded sample of mutants over the modules that results rest on: ``make mutants``, or
``python tests/mutants.py --count 200 --seed 0 --out mutants.json``. Nothing in the working tree is changed: every
worker has a copy. A mutant that the tests of its subject let pass is printed with the line that it changed.
"""

import argparse
import ast
import concurrent.futures
import itertools
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 300  # a mutant that runs longer hangs, which a test run notices

# Subject → its modules and the tests that are to notice a fault in them.
SUBJECTS = {
    "pooling": (
        ["layers/pooling.py", "layers/blocks.py"],
        ["layers/test_pooling.py", "layers/test_blocks.py", "layers/test_any_model.py"],
    ),
    "checks": (["checks.py"], ["test_checks.py", "layers/test_pooling.py", "layers/test_reductions.py"]),
    "heads": (["models/heads.py"], ["models/test_heads.py", "models/test_classifiers.py"]),
    "augment": (["data/augment.py"], ["data/test_augment.py"]),
    "metrics": (["metrics.py"], ["test_metrics.py"]),
    "checkpoints": (["training/checkpoints.py"], ["training/test_checkpoints.py"]),
    "runs": (["training/runs.py"], ["training/test_runs.py", "training/test_load_classifier.py"]),
    "plan": (["studies/plan.py"], ["studies/test_plan.py"]),
    "collect": (["studies/collect.py"], ["studies/test_collect.py"]),
}

# Operator → how it is written, and what a mutant has in its place.
OPERATORS = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"), ast.And: ("and", "or"), ast.Or: ("or", "and"), ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "/"), ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
}  # fmt: skip
SKIPPED = {"decorator_list", "returns", "annotation"}  # what nothing computes


def mutants(source):
    """Every mutant of a module: (qualified name of the function, line, the line as it is, the changed source)."""
    data = source.encode()
    lines = source.splitlines(keepends=True)
    starts = [0, *itertools.accumulate(len(line.encode()) for line in lines)]

    def first(node):
        return starts[node.lineno - 1] + node.col_offset

    def last(node):
        return starts[node.end_lineno - 1] + node.end_col_offset

    def text(node):
        return data[first(node) : last(node)].decode()

    def replaced(node, new):
        return (data[: first(node)] + new.encode() + data[last(node) :]).decode()

    def between(left, right, operator):
        """With another operator between two operands; brackets may stand beside it."""
        old, new = OPERATORS.get(type(operator), ("", None))
        middle = data[last(left) : first(right)].decode()
        if new is not None and old in middle:
            yield (data[: last(left)] + middle.replace(old, new, 1).encode() + data[first(right) :]).decode()

    def of_node(node):
        match node:
            case ast.Compare():
                for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators):  # noqa: B905
                    yield from between(left, right, operator)
            case ast.BinOp():
                yield from between(node.left, node.right, node.op)
            case ast.BoolOp():
                for left, right in itertools.pairwise(node.values):
                    yield from between(left, right, node.op)
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield replaced(node, f"({text(node.operand)})")
            case ast.Constant(value=bool()):
                yield replaced(node, str(not node.value))
            case ast.Constant(value=int() | float()):
                yield replaced(node, repr(node.value + 1))
            case ast.If() | ast.While() | ast.IfExp():
                yield replaced(node.test, f"(not ({text(node.test)}))")
            case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
                yield replaced(node.value, "None")

    def walk(node, name):
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)):
            return
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = [*name, node.name]
        for changed in of_node(node):
            yield ".".join(name), node.lineno, lines[node.lineno - 1].strip(), changed
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and field not in SKIPPED:
                    yield from walk(child, name)

    yield from walk(ast.parse(source), [])


def sample(root, subjects, count, seed):
    """``count`` mutants of all subjects together, the same ones for a seed and a source."""
    found = []
    for subject, (modules, _) in subjects.items():
        for path in (f"wisesr_helpers/{module}" for module in modules):
            source = (root / path).read_text(encoding="utf-8")
            for name, line, was, changed in mutants(source):
                pairs = zip(source.splitlines(), changed.splitlines(), strict=False)
                becomes = next((new for old, new in pairs if old != new), "").strip()
                found.append((subject, path, name, line, was, becomes, changed))
    return random.Random(seed).sample(found, min(count, len(found)))


def _tested(copy, tests):
    """Whether the tests pass in a copy, in a process of its own: "passed", "failed" or "timeout"."""
    process = os.fork()
    if process == 0:
        status = 99
        try:
            os.setsid()
            with open(copy / "output.txt", "w", encoding="utf-8") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            os.chdir(copy)
            os.environ["PYTHONPATH"] = str(copy)
            sys.path[:0] = [str(copy), str(copy / "tests")]
            import pytest

            paths = [str(copy / "tests" / test) for test in tests]
            words = "-x -q -p no:cacheprovider -p no:xdist -m".split()
            status = int(pytest.main([*words, "not slow", *paths]))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return "passed" if os.waitstatus_to_exitcode(status) == 0 else "failed"
        time.sleep(0.05)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return "timeout"


def _work(job):
    """One worker: its share of the mutants, one after the other; a line for each as soon as it is known."""
    root, subjects, share = job
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in "keras pandas scipy.stats sklearn.datasets matplotlib.pyplot cv2 PIL.Image pytest".split():
        __import__(name)  # once for all: every test run is a fork of this process
    copy = pathlib.Path(tempfile.mkdtemp(prefix="mutants-"))
    left_out = shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__", "runs", "output.txt")
    shutil.copytree(root, copy, ignore=left_out, dirs_exist_ok=True)
    results = []
    for subject, path, name, line, was, becomes, source in share:
        original = (copy / path).read_text(encoding="utf-8")
        (copy / path).write_text(source, encoding="utf-8")
        began = time.monotonic()
        try:
            killed = _tested(copy, subjects[subject][1]) != "passed"
        finally:
            (copy / path).write_text(original, encoding="utf-8")
        result = {"subject": subject, "path": path, "function": name, "line": line, "was": was, "is": becomes}
        results.append({**result, "killed": killed})
        verdict = "killed  " if killed else "SURVIVED"
        print(f"{verdict} {subject} {path}:{line} ({time.monotonic() - began:.0f} s)", flush=True)
        if not killed:
            print(f"    {was}\n    {becomes}", flush=True)
    shutil.rmtree(copy, ignore_errors=True)
    return results


def main():
    """Sample, test, and say how many mutants were killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    arguments = parser.parse_args()
    chosen = sample(arguments.root, SUBJECTS, arguments.count, arguments.seed)
    shares = [(arguments.root, SUBJECTS, chosen[k :: arguments.jobs]) for k in range(arguments.jobs)]
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs) as pool:
        results = [result for share in pool.map(_work, shares) for result in share]
    killed = sum(result["killed"] for result in results)
    print(f"{killed} of {len(results)} mutants killed ({killed / len(results):.1%}).")
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
