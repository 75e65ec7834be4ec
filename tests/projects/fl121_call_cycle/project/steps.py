async def again(text, depth):
    import cpu

    return await cpu.plan(text, depth=depth)
