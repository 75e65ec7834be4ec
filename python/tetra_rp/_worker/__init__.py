"""The worker: a process that runs user code for `flash serve`, started as `python -m tetra_rp._worker`.

`docs/worker-protocol.md` is the contract. It knows nothing of HTTP, routes of other endpoints or the manifest as a whole;
it gets calls as frames on a socket and answers them. Start reading at `_loop.py`, then `_calls.py`.

    _frames     bytes ↔ frames                     _binding    HTTP and JSON input → keyword arguments
    _channel    the socket: reading, writing, end  _convert    one value → what its annotation says
    _load       START → targets (user code)        _encoding   results → JSON
    _calls      the five forms of CALL             _targets    functions by name
    _jobs       a job's input → function, arguments  _envelope   the reference's pickled job
    _execute    tasks, the sync thread, cancel     _instances  objects of decorated classes
    _outgoing   calls to other endpoints           _failures   exceptions → ERROR
    _asgi       the user's own web application       _output     what is printed, marked with its call
    _asgi_uvicorn, _asgi_granian  what serves it
    _websockets  its WebSockets, and where there are none  _terminate  SIGTERM: unwinding what runs
"""
