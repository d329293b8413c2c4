"""An installed dltools without any extra: every module imports, and every lazily exported name resolves."""

import importlib
import pkgutil
import sys
from pathlib import Path

import dltools

home = Path(dltools.__file__).parent
assert "site-packages" in home.parts, f"the checkout was imported, not the wheel: {home}"
assert (home / "py.typed").is_file(), "py.typed is not shipped"
assert "torch" not in sys.modules, "import dltools loads torch"

found = [info.name for info in pkgutil.walk_packages(dltools.__path__, "dltools.")]
modules = [dltools, *(importlib.import_module(name) for name in found if not name.endswith("__main__"))]
names = [(module, name) for module in modules for name in getattr(module, "__all__", ())]
for module, name in names:
    getattr(module, name)
print(f"dltools {dltools.__version__}: {len(modules)} modules, {len(names)} exported names")
