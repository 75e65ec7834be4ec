"""`python -m tetra_rp._worker`: the gateway is on file descriptor 0."""

from tetra_rp._worker._loop import main

if __name__ == "__main__":
    main()
