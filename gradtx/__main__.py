"""``python -m gradtx``: the command line, which is in `gradtx._cli`."""

import sys

try:
    from gradtx._cli.main import main
except ModuleNotFoundError as error:
    if error.name not in ("click", "rich"):
        raise
    sys.exit("the command line needs click and rich: pip install 'gradtx[cli]'")

if __name__ == "__main__":
    main()
