import workers.clean as cleaning
from workers.models import Model


class Pipeline:
    def __init__(self):
        self.model = Model()
        self.model2 = self.model

    async def run(self, text):
        return await self.inner(text)

    async def inner(self, text):
        return await self.model.predict(text)


async def tidy(text):
    return await cleaning.clean(text)


async def twice(text):
    return await tidy(await tidy(text))
