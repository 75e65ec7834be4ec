from .settings import shared as shared_config
