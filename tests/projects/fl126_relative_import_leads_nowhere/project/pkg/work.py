from typing import TYPE_CHECKING

from tetra_rp import CpuLiveServerless, remote

from .gone import one
from . import gone_too, known
from ... import far
from pkg.absent import two
from .namespace import nothing
from .namespace import here

try:
    from .optional import three
except ImportError:
    three = None

if TYPE_CHECKING:
    from .types import Four

prep = CpuLiveServerless(name="prep")


@remote(prep)
def run(text: str):
    from .late import five
    return one, two, three, five
