"""A tiny sentiment lexicon: enough for a demonstration on a machine without torch."""

LABELS = {
    "POSITIVE": "the writer likes it",
    "NEGATIVE": "the writer does not like it",
    "NEUTRAL": "no feeling to be found",
}

WORDS = {
    "POSITIVE": {
        "amazing", "beautiful", "best", "brilliant", "delightful", "enjoy", "excellent", "fantastic",
        "fast", "fun", "good", "great", "happy", "like", "love", "nice", "perfect", "reliable", "superb",
        "wonderful",
    },
    "NEGATIVE": {
        "angry", "annoying", "awful", "bad", "boring", "broken", "disappointing", "dreadful", "fail",
        "hate", "horrible", "poor", "sad", "slow", "terrible", "ugly", "useless", "worst", "wrong",
    },
}  # fmt: skip

NEGATIONS = {"not", "no", "never", "hardly", "isn't", "don't", "doesn't", "didn't", "wasn't"}


def score(text: str) -> float:
    """Between -1 (negative) and 1 (positive); a negation turns the word after it around."""
    total, hits, sign = 0, 0, 1
    for word in text.lower().replace(",", " ").replace(".", " ").replace("!", " ").split():
        if word in NEGATIONS:
            sign = -1
            continue
        value = (word in WORDS["POSITIVE"]) - (word in WORDS["NEGATIVE"])
        if value:
            total, hits, sign = total + sign * value, hits + 1, 1
    return total / hits if hits else 0.0
