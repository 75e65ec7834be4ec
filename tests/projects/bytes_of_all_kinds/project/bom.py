from tetra_rp import LiveServerless, remote
config = LiveServerless(name="bom")
@remote(config)
def with_bom(
	text: str,
	more: dict[str,
		int] = {},
) -> str:
	return "é"
