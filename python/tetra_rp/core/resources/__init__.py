"""An older way to the names of this package, kept for projects that import from here."""

from tetra_rp import *  # noqa: F403
from tetra_rp import __all__ as __all__
