"""One mechanism for every question of staleness: a hash of parameters and of the code that uses them.

The code is read as syntax trees, without comments and docstrings, so that only what changes a
result changes the hash. From each root the trees of everything of this package that it names are
followed, function by function.
"""

import ast
import functools
import hashlib
import json
import pathlib

PACKAGE = "wisesr_helpers"
_ROOT = pathlib.Path(__file__).resolve().parent
_CONSTANT = (ast.Assign, ast.AnnAssign)


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


def notebook_fingerprint(notebook):
    """SHA-256 of a notebook's code and of everything of this package that it names, hexadecimal.

    The code of its cells counts, default parameters included, without comments; cells tagged "hide-cell", which
    prepare Colab, do not. Of the package count what the cells name, what that uses, everything registered where
    something of that is looked up (heads, as ``ws.HEADS`` has them), and the published numbers if they are used.

    Args:
        notebook: As nbformat reads it, or its JSON.

    Returns:
        64 hexadecimal digits.

    Raises:
        ValueError: A cell is not plain Python, or names something that the package does not have.
    """
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if _counts(cell)]
    try:
        cells = [ast.parse(source) for source in sources]
    except SyntaxError as error:
        raise ValueError(f"A notebook's cells must be plain Python to be followed; {error.text!r} is not.") from None
    trees, aliases = {}, {}
    nodes = [node for cell in cells for node in ast.walk(cell)]
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            aliases |= _aliases(node)
    for node in nodes:
        if isinstance(node, (ast.Attribute, ast.Name)):
            first, *rest = _dotted(node)
            if first in aliases:
                _follow([*aliases[first], *rest], trees)
    while missed := [key for key in _registered(trees) if key not in trees]:
        for key in missed:
            _collect(*key, trees)
    lines = [*map(_dump, cells), *(f"{module}.{name} {tree}" for (module, name), tree in sorted(trees.items()))]
    if any(module == f"{PACKAGE}.published" for module, _ in trees):
        lines += [path.read_text(encoding="utf-8") for path in sorted(_ROOT.glob("published_data/*.csv"))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _counts(cell):
    return cell["cell_type"] == "code" and "hide-cell" not in cell["metadata"].get("tags", [])


def _aliases(node):
    """What an import statement binds of this package: name → path from the package on."""
    start = node.module.split(".") if isinstance(node, ast.ImportFrom) else []
    bound = {}
    for alias in node.names:
        path = [*start, *alias.name.split(".")]
        if path[0] == PACKAGE:
            name = alias.asname or (alias.name if start else PACKAGE)
            bound[name] = path[1:] if start or alias.asname else []
    return bound


def _dotted(node):
    """``a.b.c`` as ["a", "b", "c"]; what is no such chain begins with None."""
    if isinstance(node, ast.Attribute):
        return [*_dotted(node.value), node.attr]
    return [node.id if isinstance(node, ast.Name) else None]


def _follow(path, trees):
    """Collect what a dotted path leads to, from the package on; a module by itself stands for nothing."""
    definitions, imports = _module(PACKAGE)
    lazy = ast.literal_eval(definitions["_NAMES"][0].value)
    module = PACKAGE
    for name in path:
        if module == PACKAGE and name == "HEADS":
            target = (f"{PACKAGE}.heads", "REGISTRY")
        elif module == PACKAGE and name in lazy:
            target = (f"{PACKAGE}.{lazy[name]}", name)
        elif module == PACKAGE and name in imports:
            target = imports[name]
        else:
            target = _target(module, name)
        module, attribute = target
        if attribute is not None:
            known = _module(module)
            if attribute not in known[0] and attribute not in known[1]:
                raise ValueError(f"A notebook names {'.'.join([PACKAGE, *path])}, which the package does not have.")
            _collect(module, attribute, trees)
            return


def _registered(trees):
    """What a decorator of its own module puts into a constant that was collected: (module, name)."""
    for module in {module for module, _ in trees}:
        definitions, _ = _module(module)
        for name, nodes in definitions.items():
            for decorator in (d for node in nodes for d in getattr(node, "decorator_list", [])):
                by = _dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)[0]
                inner = (leaf for node in definitions.get(by, []) for leaf in ast.walk(node))
                used = {leaf.id for leaf in inner if isinstance(leaf, ast.Name)}
                if any(isinstance(definitions[other][0], _CONSTANT) for other in used if (module, other) in trees):
                    yield module, name


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
    source = _file(name).read_text(encoding="utf-8")
    definitions, imports = {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            definitions.setdefault(node.name, []).append(node)
        elif isinstance(node, _CONSTANT):
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
    """What ``from module import name`` binds: (module, None), or (module, attribute)."""
    return (f"{module}.{name}", None) if _file(f"{module}.{name}").exists() else (module, name)


def _file(module):
    """Where a module of this package is written; found without importing anything."""
    path = _ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


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
