from tetra_rp import CpuLiveServerless, remote

left = CpuLiveServerless(name="left")
right = CpuLiveServerless(name="right")


@remote(left)
async def step0(x: int) -> int:
    return await step1(x)


@remote(right)
async def step1(x: int) -> int:
    return await step2(x)


@remote(left)
async def step2(x: int) -> int:
    return await step3(x)


@remote(right)
async def step3(x: int) -> int:
    return await step4(x)


@remote(left)
async def step4(x: int) -> int:
    return await step5(x)


@remote(right)
async def step5(x: int) -> int:
    return await step6(x)


@remote(left)
async def step6(x: int) -> int:
    return await step7(x)


@remote(right)
async def step7(x: int) -> int:
    return await step8(x)


@remote(left)
async def step8(x: int) -> int:
    return await step9(x)


@remote(right)
async def step9(x: int) -> int:
    return await step10(x)


@remote(left)
async def step10(x: int) -> int:
    return await step11(x)


@remote(right)
async def step11(x: int) -> int:
    return await step0(x)

