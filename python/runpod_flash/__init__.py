"""The same package under its later name: `from runpod_flash import remote, LiveServerless, …`."""

from tetra_rp import *  # noqa: F403
from tetra_rp import __all__ as __all__
from tetra_rp import __version__ as __version__
