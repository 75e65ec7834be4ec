"""What a route is given and gives where arguments and JSON are not enough: `from tetra_rp.http import Request, Response`.

FastAPI's and Starlette's own classes do the same where a project uses them.
"""

from tetra_rp._http import Headers, Request, Response, UploadFile

__all__ = ["Headers", "Request", "Response", "UploadFile"]
