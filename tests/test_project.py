"""The project around the package: requirements, imports, addresses, commands."""

import importlib.util
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
import records
import yaml
from packaging.requirements import Requirement
from tests_support import load_script


def test_importing_the_package_loads_neither_keras_nor_pandas(root):
    code = (
        "import sys, wisesr_helpers; print(sorted({'keras', 'tensorflow', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists():
    import wisesr_helpers as ws

    for name in ws.__all__:
        assert getattr(ws, name) is not None, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ws.nonsense  # noqa: B018
    assert callable(ws.published)


def test_without_a_backend_a_sentence_names_the_extra(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'tensorflow':\n"
        "            raise ModuleNotFoundError(\"No module named 'tensorflow'\", name='tensorflow')\n"
        "sys.meta_path.insert(0, Missing())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import wisesr_helpers as ws; ws.layers"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "tensorflow", "HOME": str(tmp_path)},
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "Keras has no backend to run on: 'tensorflow' is not installed" in last
    assert "pip install 'wisesr_helpers[tensorflow]'" in last


def requirement_names(requirements):
    return {re.sub(r"\s", "", requirement.split(";")[0]) for requirement in requirements}


def test_environment_yml_asks_for_what_pyproject_does(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    chosen = re.fullmatch(r"wisesr_helpers\[([\w,]+)\]", extras["all"][0])[1].split(",")
    expected = requirement_names(
        project["dependencies"] + extras["tensorflow"] + [r for e in chosen for r in extras[e]]
    )
    conda = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert [line for line in pip if line.startswith("-")] == ["--constraint constraints.txt", "--editable ."]
    assert requirement_names(str(Requirement(line)) for line in pip if not line.startswith("-")) == requirement_names(
        str(Requirement(line)) for line in expected
    )
    assert f"python{project['requires-python']}" in conda


def requirements_of(root):
    """Every requirement of every extra but "all", as pyproject.toml has it."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    return project["dependencies"] + [r for name, rs in extras.items() if name != "all" for r in rs]


def test_every_requirement_has_a_lower_bound(root):
    assert [requirement for requirement in requirements_of(root) if ">=" not in requirement] == []


def test_constraints_pin_every_requirement_within_its_bounds(root):
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    assert "://" not in text  # no hosts of a registry
    pins = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            pin = Requirement(line)
            assert [specifier.operator for specifier in pin.specifier] == ["=="], line
            pins.setdefault(pin.name, []).append(next(iter(pin.specifier)).version)
    for requirement in map(Requirement, requirements_of(root)):
        assert pins.get(requirement.name), requirement
        assert all(version in requirement.specifier for version in pins[requirement.name]), requirement


def test_the_address_stands_in_one_form_everywhere(root):
    script = load_script("address")
    owner = script.current().removeprefix("https://github.com/")
    for path in script.files():
        found = re.findall(r"(?:https://github\.com/|research\.google\.com/github/)([\w-]+/[\w-]+)", path.read_text())
        ours = [address for address in found if address not in ("actions/checkout",)]
        assert set(ours) == {owner}, path


def test_make_address_sets_every_badge_and_button(tmp_path, monkeypatch, root):
    script = load_script("address")
    originals = {path: path.read_text(encoding="utf-8") for path in script.files()}
    (tmp_path / "notebooks").mkdir()
    for path, text in originals.items():
        (tmp_path / path.relative_to(root)).write_text(text, encoding="utf-8")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    script.main("https://github.com/someone/wise.git")
    assert script.current() == "https://github.com/someone/wise"
    for path, text in originals.items():
        written = (tmp_path / path.relative_to(root)).read_text(encoding="utf-8")
        assert "OWNER/REPOSITORY" not in written
        assert written.count("someone/wise") == text.count("OWNER/REPOSITORY") > 0, path
        assert ("<!-- [![" in text) == ("\n[![Open in Colab](" in written.replace('"[![', "\n[![")), path
        assert "<!-- [![" not in written, path
    script.main("https://github.com/someone/wise-2/")
    assert script.current() == "https://github.com/someone/wise-2"


@pytest.mark.parametrize("url", ["", "github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a"])
def test_make_address_refuses_what_is_none(url):
    with pytest.raises(SystemExit, match="valid is https://github.com/<owner>/<repository>"):
        load_script("address").main(url)


def test_make_lists_the_promised_targets(root):
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    promised = "setup demo test test-slow test-newest test-oldest book results results-check notebooks bench fuzz soak"
    for target in f"{promised} rehearsal lint lock address".split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_make_demo_ends_with_what_it_found_in_a_line_a_run(tmp_path):
    records.keep(tmp_path, head="gap", correct=(60, 150))
    records.keep(tmp_path, head="wise", correct=(60, 270))
    found = list(load_script("found").found(tmp_path))
    assert found[:2] == [
        "gap:  top-1 50.0% (95% interval 44.4% to 55.6%); its ceiling is 50.0%, by construction: it can't tell "
        "mirrored scenes apart",
        "wise: top-1 90.0% (95% interval 86.1% to 92.9%)",
    ]
    assert "_build/html/book/mit_512.html" in found[2]
    records.keep(tmp_path, head="wise", **records.diverged())
    assert list(load_script("found").found(tmp_path))[1] == "wise: diverged in epoch 3, step 17"


def test_no_file_names_a_path_of_some_machine(root):
    files = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        path = pathlib.Path(root, name)
        if path.suffix in {".py", ".md", ".ipynb", ".yml", ".toml", ".json", ".csv"} and path.exists():
            assert not re.search(r"(?<![\w.])/(root|home/\w+|work|Users/\w+)/", path.read_text(encoding="utf-8")), name


def test_installed_package_is_this_one(root):
    assert pathlib.Path(importlib.util.find_spec("wisesr_helpers").origin).is_relative_to(root)
