"""Which project one stands in."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.settings import find_project


def make(root: Path, *names: str, **files: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_toml", ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("marker", [".git", ".warren", "pyproject.toml", "warren.toml"])
def test_the_root_is_the_nearest_marked_folder(tmp_path: Path, marker: str) -> None:
    make(tmp_path, "a/b/c")
    if marker.endswith(".toml"):
        (tmp_path / "a" / marker).touch()
    else:
        (tmp_path / "a" / marker).mkdir()
    assert find_project(tmp_path / "a" / "b" / "c").root == tmp_path / "a"


def test_the_folder_is_where_one_stands_without_a_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = find_project()
    assert (project.root, project.warren_dir) == (tmp_path, tmp_path / ".warren")
    assert list(tmp_path.iterdir()) == []


def test_dot_warren_is_found_upward_but_not_beyond_the_repository(tmp_path: Path) -> None:
    make(tmp_path, ".warren", "repo/.git", "repo/service/src", repo__service__pyproject_toml="")
    service = tmp_path / "repo" / "service"
    assert find_project(service / "src").warren_dir == service / ".warren"
    make(tmp_path, "repo/.warren")
    found = find_project(service / "src")
    assert (found.root, found.warren_dir) == (service, tmp_path / "repo" / ".warren")
    assert find_project(tmp_path).warren_dir == tmp_path / ".warren"


def test_the_configuration_is_read_from_either_file(tmp_path: Path) -> None:
    make(tmp_path, pyproject_toml='[project]\nname = "shop"\n[tool.warren]\napp = "till"\n[tool.other]\nx = 1\n')
    found = find_project(tmp_path)
    assert (found.name, dict(found.config), found.config_file) == ("shop", {"app": "till"}, tmp_path / "pyproject.toml")
    make(tmp_path, pyproject_toml='[project]\nname = "shop"\n', warren_toml='app = "desk"\n')
    found = find_project(tmp_path)
    assert (found.name, dict(found.config), found.config_file) == ("shop", {"app": "desk"}, tmp_path / "warren.toml")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"warren_toml": "app = "}, "warren.toml is not TOML"),
        ({"pyproject_toml": "[tool\n"}, "pyproject.toml is not TOML"),
        ({"pyproject_toml": "tool = 5"}, r"\[tool\] in .*pyproject.toml is not a table"),
        ({"pyproject_toml": "[tool]\nwarren = 5"}, r"\[tool.warren\] in .*pyproject.toml is not a table"),
        ({"pyproject_toml": "[tool.warren]\n", "warren_toml": ""}, "The settings stand in two places"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    make(tmp_path, **files)
    with pytest.raises(ConfigurationError, match=said):
        find_project(tmp_path)


def test_a_configuration_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "warren.toml").write_bytes(b"app = '\xff'")
    with pytest.raises(ConfigurationError, match=r"warren.toml cannot be read"):
        find_project(tmp_path)
