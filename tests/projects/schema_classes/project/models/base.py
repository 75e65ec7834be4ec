from pydantic import BaseModel, ConfigDict, Field


class Identified(BaseModel):
    """Everything that has an id."""

    model_config = ConfigDict(extra="forbid")

    id: int = Field(gt=0, description="Given by the shop.")
    note: str | None = None
