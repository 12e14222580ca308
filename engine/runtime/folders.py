"""Folders of plugin files, loaded by path.

A folder becomes a package under a private name, so that no other `handlers` on the path can
stand in for it. Its files may import each other as `from .events import OrderPlaced` or as
`from handlers.events import OrderPlaced`: both lead to one module. Two modules of one file
would mean two classes of one name, and an event of one is none of the other.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec, spec_from_file_location, spec_from_loader
from pathlib import Path
from types import ModuleType


class PluginFolder(MetaPathFinder):
    """A folder as a package. `public` is the name that its files know it by, "" for the top level."""

    def __init__(self, folder: Path, public: str) -> None:
        self.folder = folder
        self.public = public
        digest = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        self.private = f"_warren_plugins_{digest}"

    def load(self, stem: str) -> ModuleType:
        """The module of one file of the folder; what its import raises is passed on."""
        with self._installed():
            if stem == "__init__":
                return sys.modules[self.private]
            return importlib.import_module(f"{self.private}.{stem}")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """One module for a file, whichever of its two names asks for it."""
        head, _, tail = fullname.partition(".")
        if head == self.private:
            # A file may have been imported by its public name before (by a test, say): it is that module then.
            twin = sys.modules.get(f"{self.public}.{tail}" if self.public else tail)
            return _alias(fullname, twin) if twin is not None and self._holds(twin) else None
        if not self.public:
            known = sys.modules.get(f"{self.private}.{fullname}")
            return None if known is None else _alias(fullname, known)
        if head == self.public and tail and self._holds(sys.modules.get(fullname.rpartition(".")[0])):
            return _alias(fullname, importlib.import_module(f"{self.private}.{tail}"))
        return None

    def _holds(self, module: ModuleType | None) -> bool:
        """Whether the module comes from this folder."""
        paths = getattr(module, "__path__", None) or [getattr(module, "__file__", None)]
        return any(path is not None and Path(path).resolve().is_relative_to(self.folder) for path in paths)

    @contextmanager
    def _installed(self) -> Iterator[None]:
        """The public name means this folder; what else bore it is set aside, and put back."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        if not self.public:
            append_path(self.folder)
            self._package()
            yield
            return
        aside = {
            name: module for name, module in sys.modules.items() if self._is_public(name) and not self._holds(module)
        }
        for name in aside:
            del sys.modules[name]
        try:
            sys.modules.setdefault(self.public, self._package())
            yield
        finally:
            if aside:
                for name in [name for name in sys.modules if self._is_public(name)]:
                    del sys.modules[name]
                sys.modules.update(aside)

    def _is_public(self, name: str) -> bool:
        return name == self.public or name.startswith(f"{self.public}.")

    def _package(self) -> ModuleType:
        if self.private in sys.modules:
            return sys.modules[self.private]
        known = sys.modules.get(self.public)
        if known is not None and self._holds(known):
            sys.modules[self.private] = known
            return known
        init = self.folder / "__init__.py"
        if not init.is_file():
            package = ModuleType(self.private)
            package.__path__ = [str(self.folder)]
            sys.modules[self.private] = package
            return package
        spec = spec_from_file_location(self.private, init, submodule_search_locations=[str(self.folder)])
        assert spec is not None
        assert spec.loader is not None
        package = module_from_spec(spec)
        sys.modules[self.private] = sys.modules[self.public] = package
        try:
            spec.loader.exec_module(package)
        except BaseException:
            del sys.modules[self.private], sys.modules[self.public]
            raise
        return package


class _Alias(Loader):
    """Gives a module that is there already under another name."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has put the alias's there


def _alias(name: str, module: ModuleType) -> ModuleSpec | None:
    return spec_from_loader(name, _Alias(module), is_package=hasattr(module, "__path__"))


_folders: dict[Path, PluginFolder] = {}


def plugin_folder(folder: Path, *, package: bool) -> PluginFolder:
    """The folder's package; there is one for each folder.

    `package`: its files name each other through the folder, as `from handlers.events import …`;
    otherwise by their own names alone, as scripts that lie side by side do.
    """
    path = folder.resolve()
    if path not in _folders:
        _folders[path] = PluginFolder(path, path.name if package or (path / "__init__.py").is_file() else "")
    return _folders[path]


def append_path(folder: Path) -> None:
    """Let modules of the folder be imported, but only where no installed one has the name."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
