"""Where handlers come from, and what is said of a plugin that does not load."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from engine.errors import PluginError
from engine.model.handler import HandlerSpec
from engine.runtime import folders
from engine.runtime.plugins import load_plugins

ROOT = Path(__file__).parents[2]

EVENTS = """
from engine import EventData

class OrderPlaced(EventData, type="order.placed"):
    order_id: str
"""

ORDERS = """
from engine import Event, handler
from handlers.events import OrderPlaced

@handler(OrderPlaced)
async def reserve(event: Event[OrderPlaced]) -> None: ...
"""

HANDLER = """
from engine import handler

@handler("order.*")
async def {name}(): ...
"""

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def project(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Write]:
    """Writes a project's files and stands in it; what was imported is forgotten afterwards."""
    modules, meta = dict(sys.modules), sys.meta_path
    for name in [name for name in modules if name.partition(".")[0] in ("handlers", "shop")]:
        del sys.modules[name]  # other tests use the examples, and call their plugin so
    others = tmp_path_factory.getbasetemp()  # folders of plugins that other tests loaded
    path = [each for each in sys.path if each not in ("", str(ROOT)) and not Path(each).is_relative_to(others)]
    monkeypatch.setattr(sys, "path", [*path, str(ROOT)])
    monkeypatch.setattr(sys, "meta_path", [each for each in meta if not isinstance(each, folders.PluginFolder)])
    monkeypatch.setattr(folders, "_folders", {})
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)

    def write(files: dict[str, str]) -> Path:
        for name, source in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source), encoding="utf-8")
        importlib.invalidate_caches()
        return root

    yield write
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)


def names(specs: list[HandlerSpec]) -> list[str]:
    return [spec.queue_for("shop") for spec in specs]


def refused(root: Path, *plugins: str, **options: Any) -> str:
    with pytest.raises(PluginError) as caught:
        load_plugins(plugins, root, app="shop", **options)
    return str(caught.value)


@pytest.mark.parametrize("init", [True, False])
@pytest.mark.parametrize("spelling", ["from handlers.events import", "from .events import"])
def test_the_files_of_the_projects_folder_are_loaded_and_share_their_classes(
    project: Write, init: bool, spelling: str
) -> None:
    files = {
        "handlers/events.py": EVENTS,
        "handlers/orders.py": ORDERS,
        "handlers/bills.py": ORDERS.replace("from handlers.events import", spelling).replace("reserve", "bill"),
        "handlers/_draft.py": "raise RuntimeError",
        "handlers/test_orders.py": "raise RuntimeError",
        "handlers/conftest.py": "raise RuntimeError",
        "handlers/notes.txt": "",
    }
    root = project(files | ({"handlers/__init__.py": ""} if init else {}))
    specs = load_plugins([], root)
    assert names(specs) == ["shop.bills.bill", "shop.orders.reserve"]
    assert specs[0].models == specs[1].models
    assert specs[0].file == str(root / "handlers" / "bills.py")


def test_another_handlers_package_neither_stands_in_nor_is_lost(project: Write) -> None:
    root = project({"handlers/events.py": EVENTS, "handlers/orders.py": ORDERS})
    ours = importlib.import_module("handlers")
    assert Path(ours.__file__ or "").parent == ROOT / "handlers"
    specs = load_plugins([], root)
    assert names(specs) == ["shop.orders.reserve"]
    assert sys.modules["handlers"] is ours
    assert not any(name.startswith("handlers.") for name in sys.modules)


def test_what_a_test_imported_by_its_usual_name_is_the_module_that_is_loaded(
    project: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"handlers/__init__.py": "", "handlers/events.py": EVENTS, "handlers/orders.py": ORDERS})
    monkeypatch.syspath_prepend(str(root))
    events = importlib.import_module("handlers.events")
    specs = load_plugins([], root)
    orders = importlib.import_module("handlers.orders")
    assert specs[0].models == (events.OrderPlaced,)
    assert specs[0].function is orders.reserve


def test_what_is_imported_by_its_usual_name_later_is_the_module_that_was_loaded(project: Write) -> None:
    root = project({"handlers/events.py": EVENTS, "handlers/orders.py": ORDERS, "handlers/shared/names.py": "NAME = 1"})
    specs = load_plugins([], root)
    assert importlib.import_module("handlers.orders").reserve is specs[0].function
    assert importlib.import_module("handlers.events").OrderPlaced is specs[0].models[0]
    names_module = importlib.import_module("handlers.shared.names")
    assert importlib.import_module(f"{specs[0].function.__module__.rpartition('.')[0]}.shared.names") is names_module


def test_loading_again_gives_the_same_handlers(project: Write) -> None:
    root = project({"handlers/events.py": EVENTS, "handlers/orders.py": ORDERS})
    assert load_plugins([], root) == load_plugins([], root)


def test_what_is_named_is_all_that_is_loaded(project: Write) -> None:
    root = project(
        {
            "handlers/orders.py": HANDLER.format(name="reserve"),
            "jobs/nightly.py": HANDLER.format(name="count"),
            "shop/__init__.py": "",
            "shop/reactions.py": HANDLER.format(name="react"),
            "shop/deep/__init__.py": "",
            "shop/deep/inner.py": "from ..reactions import react\n" + HANDLER.format(name="dig"),
        }
    )
    assert names(load_plugins(["handlers/orders.py"], root)) == ["shop.orders.reserve"]
    assert names(load_plugins(["handlers.orders"], root)) == ["shop.orders.reserve"]
    assert names(load_plugins(["handlers"], root)) == ["shop.orders.reserve"]
    assert names(load_plugins(["jobs/nightly.py", "shop.reactions"], root)) == [
        "shop.nightly.count",
        "shop.reactions.react",
    ]
    assert names(load_plugins(["jobs/"], root)) == ["shop.nightly.count"]
    assert names(load_plugins(["shop/deep/inner.py"], root)) == ["shop.inner.dig"]
    assert names(load_plugins(["shop/deep/inner.py", "shop.deep.inner"], root)) == ["shop.inner.dig"]
    assert names(load_plugins([], root, configured=["jobs/nightly.py"])) == [
        "shop.nightly.count",
        "shop.orders.reserve",
    ]
    assert names(load_plugins(["jobs/nightly.py"], root, configured=["shop.reactions"])) == ["shop.nightly.count"]


def test_scripts_side_by_side_import_each_other_by_their_own_names(project: Write) -> None:
    root = project(
        {
            "jobs/events.py": EVENTS,
            "jobs/orders.py": ORDERS.replace("handlers.events", "events"),
            "jobs/bills.py": "import orders\n" + ORDERS.replace("handlers.events", "events").replace("reserve", "bill"),
        }
    )
    specs = load_plugins(["jobs/bills.py", "jobs/orders.py", "jobs/"], root)
    assert names(specs) == ["shop.bills.bill", "shop.orders.reserve"]
    assert specs[0].models == specs[1].models


def test_a_package_has_the_handlers_that_it_imports(project: Write) -> None:
    root = project(
        {
            "shop/__init__.py": "from .orders import reserve",
            "shop/orders.py": HANDLER.format(name="reserve"),
            "bare/__init__.py": "",
            "bare/orders.py": HANDLER.format(name="reserve"),
        }
    )
    assert names(load_plugins(["shop"], root)) == ["shop.orders.reserve"]
    assert "write folder/" in refused(project({"folder/a.py": ""}), "folder")
    message = refused(root, "bare")
    assert "The plugin bare has no handlers" in message
    assert "name its modules, as bare.orders" in message


def test_entry_points_are_loaded(project: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root = project(
        {
            "site/extra-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n",
            "site/extra-1.0.dist-info/entry_points.txt": "[warren.handlers]\nmain = extra_handlers\n",
            "site/extra_handlers.py": HANDLER.format(name="extra"),
        }
    )
    monkeypatch.syspath_prepend(str(root / "site"))
    assert names(load_plugins([], root)) == ["shop.extra_handlers.extra"]
    (root / "site" / "extra_handlers.py").write_text("1 / 0")
    del sys.modules["extra_handlers"]
    importlib.invalidate_caches()
    message = refused(root)
    assert "main = 'extra_handlers' (entry point of extra)" in message
    assert "extra_handlers.py:1: ZeroDivisionError" in message


def test_with_nothing_there_there_is_nothing(project: Write) -> None:
    assert load_plugins([], project({})) == []


def test_a_file_without_handlers_is_fine_in_the_folder_and_an_error_when_named(project: Write) -> None:
    root = project({"handlers/events.py": EVENTS})
    assert load_plugins([], root) == []
    assert "The plugin handlers/events.py has no handlers" in refused(root, "handlers/events.py")
    assert "The plugin json has no handlers" in refused(root, "json")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nothing_like_it\n", ["handlers/orders.py:1: ModuleNotFoundError", "Install nothing_like_it"]),
        ("from events import OrderPlaced\n", ["orders.py:1: ModuleNotFoundError", "from .events import"]),
        ("from handlers.events import Lost\n", ["handlers/orders.py:1: ImportError: cannot import name 'Lost'"]),
        ("\n\ndef broken(:\n", ["handlers/orders.py:3: SyntaxError: "]),
        ("x = 1\n\treturn\n", ["handlers/orders.py:2: IndentationError: "]),
        ("import json\njson.loads('{')\n", ["handlers/orders.py:2: JSONDecodeError: "]),
        ("from .events import fail\nfail()\n", ["handlers/events.py:6: KeyError: 'x'"]),
        ("raise SystemExit(3)\n", ["ends the program", "handlers/orders.py:1", "__main__"]),
        ("raise BaseException('enough')\n", ["handlers/orders.py:1: BaseException: enough"]),
        ("raise RuntimeError\n", ["handlers/orders.py:1: RuntimeError"]),
        (
            "from engine import EventData\nclass A(EventData, tpye='a'): ...\n",
            ["handlers/orders.py:2: class A: unknown keyword 'tpye'", "Did you mean 'type'?"],
        ),
        (
            "from engine import handler\n\n@handler('order..placed')\nasync def f(): ...\n",
            ["handlers/orders.py:3: @handler: ", "empty word"],
        ),
        (
            "from engine import Nothing\n",
            ["handlers/orders.py:1: ImportError: cannot import name 'Nothing' from 'engine'"],
        ),
    ],
)
def test_a_plugin_that_does_not_import_is_named_with_its_line_and_cause(
    project: Write, source: str, said: list[str]
) -> None:
    events = EVENTS + "def fail() -> None:\n    {}['x']\n"
    root = project({"handlers/events.py": events.lstrip("\n"), "handlers/orders.py": source})
    message = refused(root)
    for part in said:
        assert part in message


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        ("nowhere", "No module named 'nowhere'"),
        ("shop.nowhere", "No module named 'shop.nowhere'"),
        ("nowhere.py", "The plugin nowhere.py is not there"),
        ("some/where", "The plugin some/where is not there"),
        ("not a module", "neither a module nor a file"),
        ("./data.txt", "is not a Python file"),
        ("./a.b.py", "its name has a dot within"),
    ],
)
def test_a_plugin_that_is_not_there_is_named(project: Write, plugin: str, said: str) -> None:
    root = project({"shop/__init__.py": "", "data.txt": "", "a.b.py": ""})
    assert said in refused(root, plugin)


def test_a_failed_import_leaves_nothing_half_loaded(project: Write) -> None:
    root = project({"handlers/__init__.py": "1 / 0", "handlers/orders.py": HANDLER.format(name="reserve")})
    assert "handlers/__init__.py:1: ZeroDivisionError" in refused(root)
    (root / "handlers" / "__init__.py").write_text("OK = True  # now it does")
    importlib.invalidate_caches()
    assert names(load_plugins([], root)) == ["shop.orders.reserve"]


def test_two_handlers_of_one_queue_are_refused_with_both_places(project: Write) -> None:
    root = project(
        {
            "handlers/orders.py": HANDLER.format(name="reserve") + HANDLER.format(name="reserve"),
            "jobs/orders.py": HANDLER.format(name="react"),
            "more/orders.py": HANDLER.format(name="react"),
        }
    )
    message = refused(root)
    assert "Two handlers claim the queue shop.orders.reserve" in message
    assert "handlers/orders.py:4" in message
    assert "handlers/orders.py:9" in message
    message = refused(root, "jobs/orders.py", "more/orders.py")
    assert "jobs/orders.py:4" in message
    assert "more/orders.py:4" in message


def test_two_classes_of_one_type_and_version_are_refused(project: Write) -> None:
    source = EVENTS + ORDERS.replace("from handlers.events import OrderPlaced\n", "")
    root = project({"handlers/orders.py": source, "handlers/bills.py": source})
    message = refused(root)
    assert "both declare order.placed version 1" in message
    assert "handlers/orders.py" in message
    assert "handlers/bills.py" in message


def test_a_package_hidden_by_an_installed_one_is_refused(project: Write) -> None:
    root = project({"json/__init__.py": "", "json/deep/__init__.py": "", "json/deep/inner.py": ""})
    message = refused(root, "json/deep/inner.py")
    assert "json/deep/inner.py" in message


def test_a_module_of_the_projects_root_hides_nothing_of_ours(project: Write) -> None:
    root = project(
        {
            "engine.py": "raise RuntimeError('not this one')",
            "monitor.py": "raise RuntimeError('not this one')",
            "queue.py": "raise RuntimeError('not this one')",
            "helpers.py": "NAME = 'mine'",
            "handlers/orders.py": "from helpers import NAME\n" + HANDLER.format(name="reserve"),
        }
    )
    code = (
        "from pathlib import Path\n"
        "from engine.runtime.plugins import load_plugins\n"
        "print([spec.name for spec in load_plugins([], Path.cwd())])\n"
        "import queue, monitor, engine.brokers.base\n"
    )
    script = root.parent / "run.py"
    script.write_text(f"import sys; sys.path[1:1] = [{str(ROOT)!r}]\n{code}")
    ran = subprocess.run([sys.executable, script], cwd=root, capture_output=True, text=True, timeout=60)
    assert (ran.stdout.strip(), ran.stderr) == ("['reserve']", "")
