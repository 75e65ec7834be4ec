import asyncio

import workers.clean
import workers.models as m
from tetra_rp import remote
from workers.config import api


@remote(api, method="POST", path="/module-import")
async def by_module(text: str) -> str:
    return await workers.clean.clean(text)


@remote(api, method="POST", path="/body-import")
async def by_body_import(text: str) -> str:
    from workers.clean import clean as scrub, split
    import workers.models

    words = await split(await scrub(text))
    return await workers.models.embed(words[0])


@remote(api, method="POST", path="/object")
async def by_object(text: str) -> dict:
    worker = m.Model("large")
    return await worker.predict(text)


@remote(api, method="POST", path="/object-at-once")
async def by_object_at_once(text: str) -> dict:
    return await m.Model().predict(text)


@remote(api, method="POST", path="/shared-object")
async def by_shared_object(text: str) -> dict:
    from workers import model

    return await model.predict(text)


@remote(api, method="POST", path="/re-exported")
async def by_re_export(text: str) -> None:
    from workers import ReexportedModel

    await ReexportedModel().warm_up()


@remote(api, method="POST", path="/helper")
async def by_helper(text: str) -> str:
    from helpers import twice

    return await twice(text)


@remote(api, method="POST", path="/helper-object")
async def by_helper_object(text: str) -> dict:
    import helpers

    return await helpers.Pipeline().run(text)


@remote(api, method="POST", path="/nested")
async def by_nested_function(texts: list[str]) -> list:
    async def one(text):
        return await workers.clean.clean(text)

    return await asyncio.gather(*[one(text) for text in texts], *map(m.embed, texts))


@remote(api, method="POST", path="/same-file")
async def in_the_same_file(text: str) -> str:
    return await by_module(text)


@remote(api, method="POST", path="/itself")
async def itself(depth: int) -> int:
    return depth and await itself(depth - 1)


@remote(api, method="POST", path="/shadows")
async def shadows(clean, texts: list[str]) -> list:
    from workers.clean import join, split

    embed = len
    split = str.split
    found = [m(text) for m in (len, split)]
    return [clean(""), embed(texts), split(""), found, [join for join in texts], (lambda join: join(1))(len)]


@remote(api, method="POST", path="/plain")
async def plain(text: str) -> str:
    return text
