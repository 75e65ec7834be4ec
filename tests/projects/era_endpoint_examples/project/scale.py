import aiohttp
import asyncio


async def load(url):
    async with aiohttp.ClientSession() as session:
        return await session.get(url)


if __name__ == "__main__":
    asyncio.run(load("http://localhost"))
