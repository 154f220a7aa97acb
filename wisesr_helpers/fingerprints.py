"""One mechanism for every question of staleness: a hash of parameters and of the code that uses them.

The code is read as syntax trees, without comments and docstrings, so that only what changes a
result changes the hash. From each root the trees of everything of this package that it names are
followed, function by function.
"""

import ast
import functools
import hashlib
import importlib.util
import json
import pathlib

PACKAGE = "wisesr_helpers"
_ROOT = pathlib.Path(__file__).resolve().parent


def fingerprint(*code, **parameters):
    """SHA-256 of code and parameters, hexadecimal.

    Args:
        *code: Functions or classes of this package; what they use of the package is included.
        **parameters: Values that JSON can hold.

    Returns:
        64 hexadecimal digits, the same on every supported version of Python.

    Raises:
        ValueError: A root is not a top-level function or class of this package.
    """
    trees = {}
    for item in code:
        if not _ours(getattr(item, "__module__", None)):
            raise ValueError(f"{item!r} is no top-level function or class of {PACKAGE}.")
        _collect(item.__module__, item.__qualname__.split(".")[0], trees, required=True)
    lines = [json.dumps(parameters, sort_keys=True)]
    lines += [f"{module}.{name} {tree}" for (module, name), tree in sorted(trees.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _collect(module, name, trees, required=False):
    definitions, imports = _module(module)
    if name in imports:
        target = imports[name]
        if target[1] is not None:
            _collect(*target, trees)
        return
    if name not in definitions:
        if required:
            raise ValueError(f"{module}.{name} is no top-level function or class of {PACKAGE}.")
        return
    if (module, name) in trees:
        return
    trees[module, name] = "".join(_dump(node) for node in definitions[name])
    for node in (inner for top in definitions[name] for inner in ast.walk(top)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imports:
            target, attribute = imports[node.value.id]
            if attribute is None:  # a module of this package
                _collect(target, node.attr, trees)
        if isinstance(node, ast.Name):
            _collect(module, node.id, trees)
        if isinstance(node, ast.ImportFrom) and _ours(node.module):
            for alias in node.names:
                _collect(*_target(node.module, alias.name), trees) if _target(node.module, alias.name)[1] else None


@functools.cache
def _module(name):
    """Top-level definitions (name → nodes) and imports of this package (name → (module, attribute or None))."""
    source = pathlib.Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")
    definitions, imports = {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in (leaf for top in targets for leaf in ast.walk(top) if isinstance(leaf, ast.Name)):
                definitions.setdefault(target.id, []).append(node)
        elif isinstance(node, ast.ImportFrom) and _ours(node.module):
            for alias in node.names:
                imports[alias.asname or alias.name] = _target(node.module, alias.name)
    return definitions, imports


def _ours(module):
    return module is not None and module.split(".")[0] == PACKAGE


def _target(module, name):
    try:
        if importlib.util.find_spec(f"{module}.{name}"):
            return f"{module}.{name}", None
    except ModuleNotFoundError:
        pass
    return module, name


def _dump(node):
    """A tree as text: no positions, no docstrings, no empty fields (which differ between versions of Python)."""
    if isinstance(node, ast.AST):
        fields = []
        for field, value in ast.iter_fields(node):
            if field == "body" and isinstance(value, list) and value and _is_docstring(node, value[0]):
                value = value[1:]
            if value is not None and value != []:
                fields.append(f"{field}={_dump(value)}")
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    return repr(node)


def _is_docstring(parent, node):
    return (
        isinstance(parent, (ast.FunctionDef, ast.ClassDef))
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
