"""`python -m svggt`: the same as `svggt`."""

from svggt.cli import main

if __name__ == "__main__":
    main()
