"""Mutation testing: small faults are put into the code one at a time, and its tests have to notice each of them.

A seeded sample of mutants over the modules that results rest on: ``make mutants``, or
``python tests/mutants.py --count 200 --seed 0 --out mutants.json``. Nothing in the working tree is changed: every
worker has a copy. A mutant that the tests of its subject let pass is printed with the line that it changed.
"""

import argparse
import ast
import concurrent.futures
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
        ["layers/test_layers.py", "layers/test_positions.py"],
    ),
    "heads": (["models/heads.py"], ["models/test_heads.py", "models/test_models.py"]),
    "augment": (["data/augment.py"], ["data/test_augment.py"]),
    "metrics": (["metrics.py"], ["test_metrics.py"]),
    "checkpoints": (["training/checkpoints.py"], ["training/test_checkpoints.py"]),
    "runs": (["training/runs.py"], ["training/test_runs.py"]),
}

_COMPARISONS = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
_OPERATORS = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "/", ast.Mod: "*", ast.Pow: "*",
}  # fmt: skip


def mutants(source):
    """Every mutant of a module: (qualified name of the function, line, the line as it is, the changed source)."""
    tree = ast.parse(source)
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    data = source.encode()

    def place(line, column):
        return starts[line - 1] + column

    def changed(first, last, text):
        return (data[:first] + text.encode() + data[last:]).decode()

    def segment(node):
        return data[place(node.lineno, node.col_offset) : place(node.end_lineno, node.end_col_offset)].decode()

    def replaced(node, text):
        return changed(place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset), text)

    def between(left, right, old, new):
        """An operator between two operands, found behind the closing brackets of the left one."""
        first = place(left.end_lineno, left.end_col_offset)
        last = place(right.lineno, right.col_offset)
        at = data[first:last].decode().find(old)
        return changed(first + at, first + at + len(old), new) if at >= 0 else None

    symbols = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**"}
    symbols |= {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.In: "in"}
    symbols |= {ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not", ast.And: "and", ast.Or: "or"}

    def of_node(node):
        match node:
            case ast.Compare():
                for left, operator, right in zip(
                    [node.left, *node.comparators], node.ops, node.comparators, strict=False
                ):
                    yield between(left, right, symbols[type(operator)], _COMPARISONS[type(operator)])
            case ast.BinOp() if type(node.op) in _OPERATORS:
                yield between(node.left, node.right, symbols[type(node.op)], _OPERATORS[type(node.op)])
            case ast.BoolOp():
                other = "or" if isinstance(node.op, ast.And) else "and"
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield between(left, right, symbols[type(node.op)], other)
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                yield replaced(node, f"({segment(node.operand)})")
            case ast.Constant(value=bool()):
                yield replaced(node, str(not node.value))
            case ast.Constant(value=int() | float()):
                yield replaced(node, repr(node.value + 1))
            case ast.If() | ast.While() | ast.IfExp():
                yield replaced(node.test, f"(not ({segment(node.test)}))")
            case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
                yield replaced(node.value, "None")

    def walk(node, name):
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)):
            return
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = [*name, node.name]
        for source_of_mutant in of_node(node):
            if source_of_mutant is not None:
                yield ".".join(name), node.lineno, lines[node.lineno - 1].strip(), source_of_mutant
        skipped = {"decorator_list", "returns", "annotation"}
        for field, value in ast.iter_fields(node):
            if field not in skipped:
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from walk(child, name)

    yield from walk(tree, [])


def sample(root, subjects, count, seed):
    """``count`` mutants of all subjects together, the same ones for a seed and a source."""
    found = []
    for subject, (modules, _) in subjects.items():
        for module in modules:
            path = f"wisesr_helpers/{module}"
            source = (root / path).read_text(encoding="utf-8")
            for name, line, text, source_of_mutant in mutants(source):
                changed = next(
                    (
                        new
                        for old, new in zip(source.splitlines(), source_of_mutant.splitlines(), strict=False)
                        if old != new
                    ),
                    "",
                )
                found.append((subject, path, name, line, text, changed.strip(), source_of_mutant))
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

            paths = [str(path) for test in tests for path in [copy / "tests" / test]]
            status = int(
                pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow", *paths])
            )
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


def _copy_of(root):
    copy = pathlib.Path(tempfile.mkdtemp(prefix="mutants-"))
    kept_out = shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__", "runs", "output.txt")
    shutil.copytree(root, copy, ignore=kept_out, dirs_exist_ok=True)
    return copy


def _work(job):
    """One worker: its share of the mutants, one after the other; a line for each as soon as it is known."""
    root, subjects, share = job
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in (
        "keras",
        "pandas",
        "scipy.stats",
        "sklearn.datasets",
        "matplotlib.pyplot",
        "cv2",
        "PIL.Image",
        "pytest",
    ):
        __import__(name)  # once for all: every test run is a fork of this process
    copy = _copy_of(root)
    results = []
    for subject, path, name, line, text, changed, source in share:
        original = (copy / path).read_text(encoding="utf-8")
        (copy / path).write_text(source, encoding="utf-8")
        began = time.monotonic()
        try:
            verdict = _tested(copy, subjects[subject][1])
        finally:
            (copy / path).write_text(original, encoding="utf-8")
        killed = verdict != "passed"
        results.append(
            {
                "subject": subject,
                "path": path,
                "function": name,
                "line": line,
                "was": text,
                "is": changed,
                "killed": killed,
            }
        )
        print(
            f"{'killed  ' if killed else 'SURVIVED'} {subject} {path}:{line} ({time.monotonic() - began:.0f} s)"
            + ("" if killed else f"\n    {text}\n    {changed}"),
            flush=True,
        )
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
