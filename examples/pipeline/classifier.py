"""The sentiment model, loaded once per worker."""

import os

import lexicon
from config import model_config
from tetra_rp import remote

MODEL = "distilbert-base-uncased-finetuned-sst-2-english"

loads = 0  # times that this worker has loaded the model


# For the real model write: @remote(model_config, dependencies=["torch", "transformers"])
# Without the two packages the class falls back to a word list, which starts in milliseconds.
@remote(model_config)
class Classifier:
    """Says whether a text is positive, negative or neutral."""

    def __init__(self) -> None:
        global loads
        loads += 1
        self.asked = 0
        try:
            from transformers import pipeline

            self.pipeline = pipeline("sentiment-analysis", model=MODEL)
            self.model = MODEL
        except (ImportError, OSError):  # not installed, or no way to download the weights
            self.pipeline = None
            self.model = "lexicon"

    async def predict(self, text: str) -> dict:
        """Label and score of one text, with what this worker has done so far."""
        self.asked += 1
        label, score = self._classify(text)
        return {
            "label": label,
            "score": round(score, 3),
            "model": self.model,
            "worker": {"pid": os.getpid(), "loads": loads, "asked": self.asked},
        }

    def _classify(self, text: str) -> tuple[str, float]:
        if self.pipeline is not None:
            answer = self.pipeline(text)[0]
            return answer["label"], answer["score"]
        score = lexicon.score(text)
        if score == 0:
            return "NEUTRAL", 1.0
        return ("POSITIVE" if score > 0 else "NEGATIVE"), abs(score)
