from pydantic_settings import BaseSettings
from tetra_rp import CpuLiveServerless, remote
class Settings(BaseSettings):
    workers: int = 2
settings = Settings()
config = CpuLiveServerless(name="config", workersMax=settings.workers)
@remote(config)
def work(): ...
