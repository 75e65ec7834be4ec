"""The public routes. Each `await` of another module's function is a call to another endpoint."""

import asyncio

import lexicon
from classifier import Classifier
from cleaning import clean
from config import api_config
from tetra_rp import remote

classifier = Classifier()


@remote(api_config, method="POST", path="/classify")
async def classify(text: str) -> dict:
    """Clean a text on `prep`, then classify it on `model`."""
    cleaned = await clean(text)
    answer = await classifier.predict(cleaned)
    return {"text": cleaned, **answer}


@remote(api_config, method="POST", path="/classify/batch")
async def classify_many(texts: list[str]) -> dict:
    """Classify several texts at once; clean-up and model overlap."""

    async def one(text: str) -> dict:
        cleaned = await clean(text)
        return {"text": cleaned, **await classifier.predict(cleaned)}

    return {"answers": await asyncio.gather(*(one(text) for text in texts))}


@remote(api_config, method="GET", path="/labels")
async def list_labels() -> dict:
    """All labels that the model can give."""
    return {"labels": list(lexicon.LABELS)}


@remote(api_config, method="GET", path="/labels/{label}")
def describe_label(label: str, examples: int = 3) -> dict:
    """What one label means, with a few words that speak for it."""
    name = label.upper()
    words = sorted(lexicon.WORDS.get(name, ()))
    return {"label": name, "meaning": lexicon.LABELS.get(name, "unknown"), "examples": words[:examples]}
