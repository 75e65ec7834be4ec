"""Where the reference keeps its classes; see `tetra_rp._former_modules`."""

import sys

from tetra_rp._former_modules import provide

provide(sys.modules[__name__])
