"""The script that mitmproxy loads: ``mitmdump -s "$(davylamp addons path)/davylamp_addon.py"``.

See docs/addons.md for the options and for what is stopped how.
"""

from davylamp_mitm import compose

addons = compose()
