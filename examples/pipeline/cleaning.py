"""Text clean-up before the model sees it."""

from config import prep_config
from tetra_rp import remote


@remote(prep_config, dependencies=["unidecode>=1.3"])
def clean(text: str) -> str:
    """Plain ASCII on one line, without runs of blanks."""
    from unidecode import unidecode

    return " ".join(unidecode(text).split())
